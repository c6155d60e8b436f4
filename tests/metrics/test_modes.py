import numpy as np
import pytest
import scipy.special
import scipy.stats

from genjax.metrics.modes import grid_divergence, mixture_masses, mode_coverage

ANGLES = 2 * np.pi * np.arange(8) / 8
RING = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
STD = 0.1


def draw(count, modes=8, seed=0):
    rng = np.random.default_rng(seed)
    return RING[rng.integers(0, modes, count)] + STD * rng.normal(size=(count, 2))


def test_coverage_and_quality_are_counted():
    """Two samples of the first mode, one of the second, one between them, one that is not finite."""
    samples = np.array([[1.0, 0.0], [1.29, 0.0], RING[1], [0.0, 0.0], [np.nan, 0.0]])
    found = mode_coverage(samples, RING, STD)
    assert (found.covered, found.high_quality) == (2, pytest.approx(3 / 5))
    assert mode_coverage(samples, RING, STD, least=2).covered == 1
    narrow = mode_coverage(samples, RING, STD, within=2.0)
    assert narrow == (2, pytest.approx(2 / 5), found.protocol.replace("within 3", "within 2"))
    assert "5 samples, 8 modes of standard deviation 0.1" in found.protocol


def test_the_density_itself_covers_all_modes_with_the_share_of_a_chi_square():
    found = mode_coverage(draw(4000), RING, STD)
    share = scipy.stats.chi2(2).cdf(9)  # of |x - centre|^2 / std^2 up to 3^2
    assert found.covered == 8
    assert abs(found.high_quality - share) < 4 * np.sqrt(share * (1 - share) / 4000)
    assert mode_coverage(draw(4000, modes=3), RING, STD).covered == 3


def test_the_mass_of_a_cell_is_the_integral_of_the_density():
    edges = np.linspace(-1.5, 1.5, 7)
    masses = mixture_masses(RING, STD, edges)
    for i, j in [(0, 0), (2, 5), (4, 1), (3, 3)]:
        (low_x, high_x), (low_y, high_y) = edges[i : i + 2], edges[j : j + 2]
        normals = [scipy.stats.multivariate_normal(centre, STD**2) for centre in RING]
        expected = np.mean([normal.cdf([high_x, high_y], lower_limit=[low_x, low_y]) for normal in normals])
        np.testing.assert_allclose(masses[i, j], expected, atol=1e-6)
    assert masses.sum() < 1


def test_the_divergence_is_the_formula_for_histogram_and_masses():
    samples = draw(500, modes=4)
    edges = np.linspace(-1.2, 1.2, 11)
    counts = np.zeros((10, 10))
    for x, y in samples:
        if max(abs(x), abs(y)) < 1.2:
            counts[int((x + 1.2) // 0.24), int((y + 1.2) // 0.24)] += 1
    masses = mixture_masses(RING, STD, edges)
    p = np.append(counts.ravel() / 500, 1 - counts.sum() / 500)
    q = np.append(masses.ravel(), 1 - masses.sum())
    found = grid_divergence(samples, RING, STD, limit=1.2, cells=10)
    middle = (p + q) / 2
    expected = (scipy.special.rel_entr(p, middle).sum() + scipy.special.rel_entr(q, middle).sum()) / 2
    np.testing.assert_allclose(found.nats, expected, rtol=1e-9)
    assert found.protocol == "JSD, 500 samples, 10 x 10 cells on [-1.2, 1.2]^2 and the rest of the plane"


def test_samples_of_the_density_have_the_divergence_of_a_finite_sample():
    """The second order of JSD is chi-square / 8: of m cells with n samples each, (m - 1) / (8 n) in the mean."""
    edges = np.linspace(-1.5, 1.5, 5)
    assert (mixture_masses(RING, 0.5, edges) * 2000 > 20).all()
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        samples = RING[rng.integers(0, 8, 2000)] + 0.5 * rng.normal(size=(2000, 2))
        found.append(grid_divergence(samples, RING, 0.5, limit=1.5, cells=4).nats)
    np.testing.assert_allclose(np.mean(found), 16 / (8 * 2000), rtol=0.3)


def test_samples_that_are_elsewhere_or_not_finite_are_log_2_away():
    for samples in (np.full((9, 2), 50.0), np.full((9, 2), np.nan)):
        np.testing.assert_allclose(grid_divergence(samples, RING, STD, limit=2.0).nats, np.log(2), rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mode_coverage(RING, RING, 0.0), "std=0.0, within=3.0 and least=1 must be above 0"),
        (lambda: mode_coverage(RING[:0], RING, 1.0), "samples: needs 1 or more examples"),
        (lambda: grid_divergence(RING, RING, 1.0, limit=0.0), "std=1.0, limit=0.0 and cells=32 must be above 0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
