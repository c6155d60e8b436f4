import jax
import jax.numpy as jnp
import numpy as np

from genjax.losses.matching import structured_joint_loss


def loops(scores, same):
    """Reference: the formula term by term."""
    count = len(scores)
    losses = []
    for n in range(count):
        others = [m for m in range(count) if not same[n, m]]
        of_image = sum(max(0, 1 + scores[n, m] - scores[n, n]) for m in others)
        of_caption = sum(max(0, 1 + scores[m, n] - scores[n, n]) for m in range(count) if not same[m, n])
        losses.append((of_image + of_caption) / count)
    return losses


def test_the_loss_is_the_sum_of_hinges():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(5, 5)).astype(np.float32)
    same = np.eye(5, dtype=bool)
    same[0, 3] = same[1, 2] = True
    loss = jax.jit(structured_joint_loss)
    np.testing.assert_allclose(loss(scores, same), loops(scores, same), rtol=1e-5)
    scores[np.arange(5), np.arange(5)] = scores.max() + 1
    np.testing.assert_allclose(loss(scores, same), np.zeros(5), atol=1e-6)


def test_only_scores_that_break_the_margin_get_a_gradient():
    scores = np.array([[2.0, 1.5, -3.0], [0.0, 2.0, 0.0], [0.0, 0.0, 9.0]])
    gradient = jax.jit(jax.grad(lambda s: structured_joint_loss(s, jnp.eye(3, dtype=bool)).sum()))(scores)
    expected = np.zeros((3, 3))
    expected[0, 1] = 2 / 3  # as a wrong caption of image 0, and as a wrong image of caption 1
    expected[0, 0] = expected[1, 1] = -1 / 3
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)
