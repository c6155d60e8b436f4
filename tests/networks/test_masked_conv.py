import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.masked_conv import MaskedConv, causal_mask, masked_normal


def allowed(row, column, given, asking, *, size, channels, kind):
    """The rule for one weight, in words of the paper."""
    centre = (size[0] // 2, size[1] // 2)
    if (row, column) != centre:
        return (row, column) < centre  # in raster order
    if kind == "A":
        return given % channels < asking % channels
    return given % channels <= asking % channels


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize(("size", "channels"), [((3, 3), 1), ((1, 3), 3), ((5, 3), 2), ((1, 1), 3)])
def test_the_mask_leaves_what_comes_before(size, channels, kind):
    mask = causal_mask(*size, 4, 6, channels=channels, kind=kind)
    for index, value in np.ndenumerate(mask):
        assert value == allowed(*index, size=size, channels=channels, kind=kind)


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("size", "kind"), [((3, 5), "A"), ((1, 3), "B"), ((1, 1), "B")])
def test_masked_convolution_is_the_sum_over_what_the_mask_leaves(size, kind):
    x, kernel = random(2, 5, 6, 3), random(*size, 3, 6)  # the kernel is not zero where it is masked
    masked = kernel * causal_mask(*size, 3, 6, channels=3, kind=kind)
    around = np.pad(x, ((0, 0), (size[0] // 2,) * 2, (size[1] // 2,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(around, size, (1, 2))  # [B, H, W, inputs, rows, columns]
    expected = np.einsum("bhwimn,mnio->bhwo", windows, masked) + np.arange(6)
    params = {"kernel": jnp.asarray(kernel), "bias": jnp.arange(6.0)}
    ours = jax.jit(MaskedConv(6, size, kind, channels=3).apply)({"params": params}, x)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_window_gives_the_convolution_at_its_centre():
    params = {"kernel": jnp.asarray(random(3, 5, 3, 4)), "bias": jnp.arange(4.0)}
    conv = functools.partial(
        jax.jit(MaskedConv(4, (3, 5), "B", channels=1).apply, static_argnums=2), {"params": params}
    )
    x = random(2, 6, 7, 3)
    np.testing.assert_allclose(conv(x[:, 1:4, 2:7], "VALID"), conv(x, "SAME")[:, 2:3, 4:5], rtol=1e-5, atol=1e-6)


def test_the_kernel_starts_with_unit_gain_for_what_it_sees():
    mask = causal_mask(3, 3, 8, 400, channels=1, kind="B").reshape(-1, 400)
    kernel = np.asarray(jax.jit(lambda key: masked_normal(key, mask))(jax.random.key(0)))
    assert kernel[mask > 0].std() == pytest.approx((5 * 8) ** -0.5, rel=0.05)
    assert (kernel[mask == 0] == 0).all()


def test_a_kernel_without_a_centre_is_refused():
    with pytest.raises(ValueError, match="kernel_height=2 and kernel_width=3 must be odd"):
        causal_mask(2, 3, 1, 1, channels=1, kind="A")
