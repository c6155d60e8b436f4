import math

import numpy as np
import pytest
from scipy.stats import norm

from genjax.data.series import KICK, NOISE, coefficients, load_series, oscillation, oscillation_log_prob


def test_the_oscillation_follows_its_equation():
    series = oscillation(20_000)
    x = np.concatenate([series.train, series.validation, series.test]).astype(float)
    assert [len(part) for part in (series.train, series.validation, series.test)] == [18_000, 1000, 1000]
    a, b = coefficients()
    kicks = x[2:] - a * x[1:-1] - b * x[:-2]
    # Four standard errors: of two peaks as likely, of their means, of the deviation about them.
    up = kicks[kicks > 0]
    assert abs(len(up) / len(kicks) - 0.5) < 4 * 0.5 / math.sqrt(len(kicks))
    assert abs(up.mean() - KICK) < 4 * NOISE / math.sqrt(len(up))
    assert abs(up.std() / NOISE - 1) < 4 / math.sqrt(2 * len(up))
    spectrum = abs(np.fft.rfft(x - x.mean()))[1:]
    smooth = np.convolve(spectrum, np.ones(201) / 201, "same")
    assert 15 < len(x) / (1 + smooth.argmax()) < 30  # damping lets the period of 20 shine through, no more


def test_the_known_likelihood_is_that_of_the_mixture_of_kicks():
    x = np.random.default_rng(0).normal(0, 2, 50)
    a, b = coefficients()
    mean = a * x[1:-1] + b * x[:-2]
    expected = np.log((norm(mean - KICK, NOISE).pdf(x[2:]) + norm(mean + KICK, NOISE).pdf(x[2:])) / 2)
    near = expected > -300  # where the densities themselves do not underflow
    np.testing.assert_allclose(oscillation_log_prob(x)[near], expected[near], rtol=1e-10)
    assert near.sum() > 20


def test_the_mean_likelihood_is_the_entropy():
    """Two Gaussians eight deviations apart: ln 2 and the entropy of one, to 1e-4; four standard errors of the mean."""
    log_p = oscillation_log_prob(oscillation(40_000).train.astype(float))
    entropy = math.log(2) + 0.5 * math.log(2 * math.pi * math.e * NOISE**2)
    assert abs(-log_p.mean() - entropy) < 1e-3 + 4 * log_p.std() / math.sqrt(len(log_p))


def test_files_are_read_as_numbers(tmp_path):
    x = np.arange(40.0)
    np.save(tmp_path / "a.npy", x)
    (tmp_path / "b.csv").write_text("date,value\n" + "".join(f"2001-01-{d},{v}\n" for d, v in enumerate(x)))
    (tmp_path / "c.txt").write_text("\n".join(map(str, x)))
    for name in ("a.npy", "b.csv", "c.txt"):
        series = load_series(tmp_path / name)
        np.testing.assert_array_equal(np.concatenate([series.train, series.validation, series.test]), x)
        assert series.train.dtype == np.float32
        assert len(series.test) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"is float64 of shape \(0,\); needs one axis of at least 20 real numbers"),
        ("a\nb\nc\n", "row 2 ends in 'b'; needs numbers with a decimal point"),
        ("1\n2\n", r"of shape \(2,\); needs one axis of at least 20"),
        ("0,013\n0,129\n" * 20, "'0,013' may be 2 columns, or a number with commas; give columns a header"),
        ("value\n" + "0,013\n0,129\n" * 20, "row 2 has 2 columns, and the first row 1"),
        ("a;b\n" + "1;0,5\n2;0,25\n" * 20, "row 2 has 2 columns, and the first row 1"),
        ("1;0.5\n2;0.25\n" * 20, "row 2 ends in '2;0.25'; needs numbers"),
        ('value\n"1,000"\n"2,000"\n' * 20, "row 2 ends in '1,000'; needs numbers"),
        ("1_0\n2_0\n" * 20, "row 2 ends in '2_0'; needs numbers"),
        (
            "".join(f"{1.7e9 + value}\n" for value in range(40)),
            "cannot tell values from 1.7e.09 to 1.7e.09",
        ),
        ("".join(f"{value}e30\n" for value in range(40)), "float32 cannot tell"),
        ("".join(f"{value}e-46\n" for value in range(40)), "float32 cannot tell"),
        ("1\n" * 30, "must be finite and not all the same"),
        ("1\n2\nnan\n" * 10, "must be finite and not all the same"),
    ],
)
def test_files_that_are_no_series(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_series(path)


def test_files_as_other_programs_write_them(tmp_path):
    """A byte order mark, lines that end in CR and LF, quoted cells, integers with a header."""
    x = np.arange(40.0)
    rows = [f"{value:.0f},{value:.0f}" for value in x]
    for name, text in {
        "mark": "\ufeff" + "".join(f"{value}\n" for value in x),
        "lines": "".join(f"{value}\r\n" for value in x),
        "quoted": "day,value\n" + "".join(f'"{value}, a day",{value}\n' for value in x),
        "integers": "day,value\n" + "\n".join(rows),
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        series = load_series(tmp_path / name)
        np.testing.assert_array_equal(np.concatenate([series.train, series.validation, series.test]), x)


@pytest.mark.parametrize("kind", [np.complex128, "datetime64[D]", "U3"])
def test_an_array_that_holds_no_real_numbers_is_refused(tmp_path, kind):
    np.save(tmp_path / "x.npy", np.arange(40).astype(kind))
    with pytest.raises(ValueError, match=r"of shape \(40,\); needs one axis of at least 20 real numbers"):
        load_series(tmp_path / "x.npy")


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_series(tmp_path / "none.npy")
