"""Puzzle-GAN's experiment: its errors about bad options, its metrics of known restorers, and its figures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from experiments.parts.puzzles import (
    COLUMNS,
    Cut,
    Puzzles,
    enlarged,
    facts,
    make_figures,
    make_measure,
    mask_baselines,
    put_together,
)
from experiments.puzzle_gan import Options, puzzle_gan
from genjax.core import Model
from genjax.data.binarize import present
from genjax.data.dataset import Source, resident
from genjax.data.digits import digits
from genjax.data.patches import with_jigsaw, with_key_patches
from genjax.metrics.puzzle import ceiling, cells
from genjax.models.adversarial import puzzle_gan as model_of
from genjax.models.adversarial.puzzle_gan import Networks
from genjax.models.priors import uniform
from genjax.pictures.figures import first_test_batch as batch_of
from genjax.runs.options import Data, Run

DATA, RUN = Data(binarization="none"), Run(steps=10, batch_size=4)
TINY = {"filters": 1, "features": 2, "latents": 2}
DIGITS = {"restored_digit_accuracy", "patch_digit_accuracy", "real_digit_accuracy"}
BASELINES = {"mean_mask_iou", "random_mask_iou"}
SOLVED = {"piece_accuracy", "jigsaw_accuracy"}
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 0}, "--filters 0 must be above 0"),
        ({"cut": Cut(patches=0)}, "--patches 0 must be above 0"),
        ({"first_weight": 0.0}, "--first-weight 0.0 must be above 0"),
        ({"average": 1.0}, "--average 1.0 must be at least 0 and below 1"),
        ({"data": Data()}, "--binarization static: .* use --binarization none"),
        ({"run": Run(steps=1)}, "--steps 1: the generator is updated once in 2 steps"),
        ({"run": Run(batch_size=1)}, "--batch-size 1: composites need two images"),
        ({"cut": Cut(enlarge=2, patches=5)}, "--patches 5: images of 16x16 have 4 of 6x6 that do not overlap"),
        ({"cut": Cut(1, 9)}, "--patch-side 9 must be from 2 to 8: images of 8x8"),
        ({"cut": Cut(1, 1)}, "--patch-side 1 must be from 2 to 8"),
        ({"cut": Cut(1, jigsaw=3)}, "--jigsaw 3 must be at least 2 and divide the sides of images of 8x8"),
        ({"cut": Cut(1, jigsaw=1)}, "--jigsaw 1 must be at least 2"),
        ({"cut": Cut(1, jigsaw=2)}, "--jigsaw 2: all pieces are used; --patches and --patch-side do not apply"),
        ({"cut": Cut(patch_side=4, jigsaw=2)}, "--jigsaw 2: all pieces are used"),
        ({"cut": Cut(1, 8)}, "--patch-side 8: 1 of them are the whole of images of 8x8"),
        (
            {"data": Data(dataset="odd", binarization="none")},
            "--dataset odd: image_shape=.* height and width must be 4",
        ),
    ],
)
def test_bad_options_are_named(options, message, monkeypatch):
    odd = resident({"image": np.zeros((2, 9, 9, 1), np.uint8), "label": np.zeros(2, np.int32)})
    load = lambda data, name: Source(name, odd, odd, odd, "") if name == "odd" else digits()  # noqa: E731
    monkeypatch.setattr("experiments.parts.puzzles.load_source", load)
    with pytest.raises(ValueError, match=message):
        puzzle_gan(Options(**{"data": DATA, "run": RUN, "cut": Cut(1), **TINY, **options}))


def test_the_weight_falls_over_the_generators_updates(monkeypatch):
    asked = []
    make = model_of.weight_schedule
    monkeypatch.setattr(model_of, "weight_schedule", lambda *arguments: asked.append(arguments) or make(*arguments))
    puzzle_gan(Options(DATA, RUN, **TINY, first_weight=0.5, last_weight=0.1, discriminator_moves=2))
    assert asked == [(0.5, 0.1, 5)]


def test_enlarged_images_have_each_pixel_as_a_block():
    large, small = enlarged(digits(), 3), digits()
    assert (large.name, small.name) == ("digits-24x24", "digits")
    np.testing.assert_array_equal(
        large.test.arrays["image"], np.kron(small.test.arrays["image"], np.ones((1, 3, 3, 1), np.float32))
    )
    assert enlarged(small, 1) is small


def made(images, *, classes=2):
    splits = [resident({"image": images, "label": (np.arange(len(images)) % classes).astype(np.int32)})] * 3
    return present(Source("own", *splits, ""), "none")


def restorer(generate):
    return Model(None, (), None, lambda params, stats, batch, key: generate(batch))


@functools.cache
def random_images():
    return RNG.random((300, 4, 4, 1)).astype(np.float32)


def measure_of(found, generate, classify, monkeypatch):
    monkeypatch.setattr("experiments.parts.puzzles.make_classify", lambda data: classify)
    return make_measure(restorer(generate), found)({"none": jnp.zeros(1)}, {}, found.data.test, jax.random.key(0))


def test_a_jigsaw_is_solved_by_its_image_and_left_to_chance_by_a_black_one(monkeypatch):
    whole = made(random_images())
    found = Puzzles(whole, with_jigsaw(whole, 2), 2)
    right = lambda images: np.arange(len(images)) % 2 * (images.max() > 0)  # noqa: E731
    solved = measure_of(found, lambda batch: batch["image"], right, monkeypatch)
    assert set(solved) == SOLVED | DIGITS
    assert (solved["piece_accuracy"], solved["jigsaw_accuracy"]) == pytest.approx((1, 1))
    assert (solved["restored_digit_accuracy"], solved["real_digit_accuracy"]) == pytest.approx((1, 1))
    guessed = measure_of(found, lambda batch: 0 * batch["image"], right, monkeypatch)
    for name, chance in (("piece_accuracy", 1 / 4), ("jigsaw_accuracy", 1 / 24)):
        assert abs(guessed[name] - chance) < 4 * np.sqrt(chance / 300)
        assert facts(found)[f"chance_{name}"] == pytest.approx(chance)
        assert (facts(found)[f"ceiling_{name}"], ceiling(random_images(), 2)[name]) == pytest.approx((1, 1))
    assert guessed["restored_digit_accuracy"] == pytest.approx(0.5)
    assert guessed["real_digit_accuracy"] == pytest.approx(1)


def test_patches_are_read_by_a_linear_model_of_their_pixels(monkeypatch):
    """Brightness says the label, and so does a patch: no restorer is asked."""
    bright = random_images() / 4 + np.arange(300).reshape(-1, 1, 1, 1) % 2 / 2
    whole = made(bright.astype(np.float32))
    found = Puzzles(whole, with_key_patches(whole, side=2, count=1), 0)
    numbers = measure_of(
        found, lambda batch: 0 * batch["image"], lambda images: np.zeros(len(images), int), monkeypatch
    )
    assert set(numbers) == BASELINES | DIGITS
    assert numbers["patch_digit_accuracy"] == pytest.approx(1)
    assert (numbers["restored_digit_accuracy"], numbers["real_digit_accuracy"]) == pytest.approx((0.5, 0.5))


def test_masks_are_held_to_the_mean_mask_and_to_anothers():
    """Three images in four have their patch in the first corner: its mask is what the mean is cut to."""
    images = np.zeros((8, 4, 4, 1), np.float32)
    images[:6, 0, 0] = images[6:, 3, 3] = 1
    whole = made(images)
    found = Puzzles(whole, with_key_patches(whole, side=2, count=1), 0)
    masks = np.asarray(batch_of(found.data, 8)["mask"])
    assert [masks[0, :2, :2].sum(), masks[7, 2:, 2:].sum(), masks.sum()] == [4, 4, 32]
    same = [np.array_equal(masks[i], masks[i - 1]) for i in range(8)]
    expected = {"mean_mask_iou": 6 / 8, "random_mask_iou": np.mean(same)}
    assert mask_baselines(found)(masks) == pytest.approx(expected)


def test_pieces_that_are_put_together_are_the_image():
    images = RNG.random((3, 6, 9, 2))
    places = np.stack([RNG.permutation(9) for _ in images])
    shuffled = np.take_along_axis(cells(images, 3), places[:, :, None, None, None], axis=1)
    np.testing.assert_array_equal(put_together(shuffled, places, 3), images)


class Echo(nn.Module):
    """The mean of the patches and the noise everywhere, and a full mask."""

    @nn.compact
    def __call__(self, patches, z, train=False):
        grey = jax.nn.sigmoid(patches.mean(axis=(1, 2, 3, 4)) + z[:, 0])
        return jnp.broadcast_to(grey.reshape(-1, 1, 1, 1), (len(z), 4, 4, 1)), jnp.ones((len(z), 4, 4, 1))


@pytest.mark.parametrize("jigsaw", [0, 2])
def test_it_draws_what_goes_in_and_what_comes_out(jigsaw):
    whole = made(random_images())
    puzzle = with_jigsaw(whole, jigsaw) if jigsaw else with_key_patches(whole, side=2, count=1)
    nothing = {"generator": {}}
    draw = make_figures(Networks(Echo(), Echo(), uniform(2)), Puzzles(whole, puzzle, jigsaw))
    axes = draw(nothing, nothing, jax.random.key(1))["restored"].axes[0]
    noises = [f"restored {n}" for n in (1, 2, 3)]
    answers = ["put together"] if jigsaw else ["true mask", "predicted mask"]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == [*(f"patch {n + 1}" for n in range(jigsaw**2 or 1)), *answers, *noises, "real image"]
    pixels = np.asarray(axes.get_images()[0].get_array())[1:, 1:].reshape(len(rows), 5, COLUMNS, 5)[:, :4, :, :4]
    np.testing.assert_allclose(pixels[-1].swapaxes(0, 1), random_images()[:COLUMNS, :, :, 0], rtol=1e-6)
    restored = pixels[-4:-1].mean(axis=(1, 3))
    assert len(np.unique(restored.round(5))) == restored.size  # each image by its own noise
    if not jigsaw:
        assert [pixels[1].mean(), pixels[2].mean()] == pytest.approx([0.25, 1])


def test_every_number_has_its_kind():
    experiment = puzzle_gan(Options(DATA, RUN, Cut(enlarge=2, jigsaw=2), **TINY))
    batch = {name: jnp.asarray(array) for name, array in batch_of(experiment.data, 4).items()}
    assert batch["patches"].shape == (4, 4, 8, 8, 1)

    def evaluated(key):
        params, stats = experiment.model.init(key, batch)
        return experiment.model.evaluate(params, stats, batch, key)

    found = jax.eval_shape(evaluated, jax.random.key(0))
    assert set(found) == {"mask_iou", "mask_error", "part_error", "real_logit", "fake_logit"}
    assert {experiment.kind(name) for name in (*found, *SOLVED, *DIGITS)} == {"estimate"}
