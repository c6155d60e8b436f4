"""CycleGAN's experiment, and the command that translates a user's own images."""

import functools
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.cyclegan import Options, cyclegan, load
from experiments.parts.cyclegan_images import keeps_class
from experiments.parts.domains import CLASSIFIER_STEPS, linear_decay, make_classify, rows_of_images
from genjax.capabilities import Translator
from genjax.commands.translate import translate
from genjax.data.files import read_image
from genjax.pictures import figures
from genjax.runs.checkpoint_state import initial_checkpoint_state
from genjax.runs.options import Data, Run
from genjax.runs.restore import Restored
from genjax.runs.session import user_errors

DATA, RUN = Data(binarization="none"), Run(steps=10, batch_size=4)
TINY = {"run": RUN, "filters": 1, "blocks": 0, "halved": 0, "edge_size": 3, "discriminator_filters": 1}


def tiny(**options):
    return cyclegan(Options(**{"data": DATA, **TINY, **options}))


def test_the_learning_rate_is_constant_for_half_of_the_steps_and_then_falls_to_0():
    """100 and 100 epochs of the paper."""
    rate = linear_decay(2e-4, 200)
    found = jax.jit(jax.vmap(rate))(np.array([0, 50, 100, 150, 200, 300]))
    np.testing.assert_allclose(found, [2e-4, 2e-4, 2e-4, 1e-4, 0, 0], rtol=1e-6, atol=1e-10)


def test_grey_and_coloured_rows_stand_in_one_picture():
    rows = {"grey": np.full((2, 1, 1, 1), 0.5), "red": np.broadcast_to([1.0, 0, 0], (2, 1, 1, 3))}
    shown = np.asarray(rows_of_images(rows, title="").axes[0].get_images()[0].get_array())
    np.testing.assert_array_equal(shown[[1, 3], 1], [[0.5, 0.5, 0.5], [1, 0, 0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 0}, "--filters 0 must be above 0"),
        ({"data": Data()}, "--binarization static: .* use --binarization none"),
        ({"domains": "sets"}, "--domains sets needs --other, the second set"),
        ({"game": False, "cycle": False}, "--no-game and no cycle: the generators have no loss left"),
        ({"game": False, "cycle_weight": 0.0}, "--no-game and no cycle: the generators have no loss left"),
        ({"other": "mnist"}, "--domains inverted has no use for --other mnist"),
        ({"domains": "sets", "other": "./nowhere"}, "--other ./nowhere: no such folder"),
        ({"domains": "classes", "classes": (3, 12)}, "'digits' has no image of class 12"),
        (
            {"domains": "coloured", "identity_weight": 5.0},
            "--identity-weight 5.0: the domains have images of shapes .8, 8, 1. and .8, 8, 3.",
        ),
        ({"cycle_weight": -1.0}, "--cycle-weight -1.0 must be at least 0 and finite"),
        ({"cycle_weight": math.inf}, "--cycle-weight inf must be at least 0 and finite"),
        ({"halved": 2, "shrink": 2}, "height and width must be multiples of 4, at least 8"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises((ValueError, OSError), match=message):
        tiny(**options)


def class_of(name, images):
    """The digit that the classifier of a domain finds: it follows the brightness, differently in each domain."""
    return (np.floor(1000 * images.mean(axis=(1, 2, 3))).astype(int) + {"digits": 3, "coloured": 5}[name]) % 10


@functools.cache
def experiment():
    """From grey digits to red ones, with classifiers of brightness."""
    with pytest.MonkeyPatch.context() as patch:
        classifier = lambda data: functools.partial(class_of, data.name)  # noqa: E731
        patch.setattr("experiments.parts.cyclegan_images.make_classify", classifier)
        return tiny(domains="coloured")


@functools.cache
def restored(directory=Path("run"), *, data_dir=None):
    """A run of it that is about to begin."""
    del directory, data_dir
    state = initial_checkpoint_state(experiment(), experiment().training_feed((0,), 2), (0,))
    return Restored(cyclegan, SimpleNamespace(name="cyclegan"), experiment(), ((0,),), (state,))


@pytest.fixture(autouse=True)
def at_hand(monkeypatch):
    monkeypatch.setattr("genjax.commands.translate.restore_run", restored)


def save(path, shape=(8, 8), value=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 256, shape) if value is None else np.full(shape, value)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def test_it_measures_and_draws_both_directions():
    params, stats = restored().chosen(0)
    test = experiment().data.test
    found = jax.jit(experiment().model.evaluate)(
        params, stats, figures.first_test_batch(experiment().data, 2), jax.random.key(0)
    )
    measured = experiment().measure(params, stats, test, jax.random.key(1))
    batch = jax.jit(experiment().data.load)(dict(test.arrays), jax.random.key(0))
    translated = {
        "coloured": jax.jit(experiment().model.generate)(params, stats, batch, jax.random.key(0)),
        "digits": jax.jit(experiment().capability(Translator).translate, static_argnums=3)(
            params, stats, batch["other_image"], "digits"
        ),
    }
    real = {"coloured": batch["other_image"], "digits": batch["image"]}
    for other, domain in (("", "coloured"), ("other_", "digits")):
        for kind, images in (("", translated), ("real_", real)):
            right = (class_of(domain, np.asarray(images[domain])) == test.arrays["label"]).mean()
            assert 0 < right < 1
            assert measured[f"{other}{kind}digit_agreement"] == pytest.approx(right, abs=0.01)  # of rounding
    one_way = ("cycle_error", "real_score", "fake_score", "paired_error", "digit_agreement", "real_digit_agreement")
    names = {f"{direction}{name}" for direction in ("", "other_") for name in one_way}
    assert {*found, *measured} == names | {"unchanged_paired_error"}
    assert {experiment().kind(name) for name in names} == {"estimate"}
    changed = 2 / 3 * 0.8 * test.arrays["image"].mean()  # two of three channels become a fifth
    np.testing.assert_allclose(measured["unchanged_paired_error"], changed, rtol=1e-5)
    drawn = experiment().figures(params, stats, jax.random.key(0))
    assert set(drawn) == {"to_coloured", "to_digits"}
    rows = ["coloured", "to digits", "the truth", "and back"]
    assert [label.get_text() for label in drawn["to_digits"].axes[0].get_yticklabels()] == rows


def test_images_are_translated_as_the_model_does_it(tmp_path, capsys):
    files = [save(tmp_path / f"in/{name}.png", value=value) for name, value in (("a", None), ("sub/b", 7))]
    translate(Path("run"), (tmp_path / "in",), to="coloured", out=tmp_path / "out")
    assert f"2 images to coloured by cyclegan after 0 steps: {tmp_path / 'out'}" in capsys.readouterr().out
    images = np.stack([np.asarray(Image.open(file)) for file in files])[..., None] / np.float32(255)
    generate = jax.jit(experiment().model.generate)
    expected = generate(*restored().chosen(0), {"image": images}, jax.random.key(0))
    made = [read_image(tmp_path / "out" / name, (8, 8, 3)) for name in ("a.png", "sub/b.png")]
    np.testing.assert_allclose(np.stack(made) / 255, expected, atol=0.51 / 255)
    translate(Path("run"), (tmp_path / "out/a.png",), to="digits", out=tmp_path / "back")
    with Image.open(tmp_path / "back/a.png") as image:
        assert (image.mode, image.size) == ("L", (8, 8))


def test_what_cannot_be_translated_is_told_with_its_path(tmp_path, capsys):
    grey = save(tmp_path / "grey.png")
    large = save(tmp_path / "large/x.png", (9, 8))
    red = save(tmp_path / "red.png", (8, 8, 3))
    clear = save(tmp_path / "clear.png", (8, 8, 4))
    cut = tmp_path / "cut.png"
    cut.write_bytes(grey.read_bytes()[:-30])
    (tmp_path / "empty").mkdir()
    shutil.copytree(tmp_path / "large", tmp_path / "twice")
    for paths, options, message in (
        ((grey,), {"to": "blue"}, "--to blue: no domain of this run; it has coloured, digits"),
        ((grey, tmp_path / "large"), {}, f"{large}: image of shape (9, 8, 1), must be (8, 8, 1) to be translated to"),
        ((red,), {}, f"{red}: image of shape (8, 8, 3), must be (8, 8, 1)"),
        ((clear,), {}, f"{clear}: image of mode RGBA"),
        ((cut,), {}, f"{cut}: cannot be read"),
        ((tmp_path / "nothing.png",), {}, f"{tmp_path / 'nothing.png'}: no such file or folder"),
        ((tmp_path / "empty",), {}, "no images in the folder"),
        ((tmp_path / "large", tmp_path / "twice"), {}, "would both become"),
        ((grey,), {"out": tmp_path}, f"--out {tmp_path}: {grey} is one of the images; give another folder"),
        ((grey,), {"seed": 4}, "--seed 4 must be one of the run's seeds: [0]"),
        ((), {}, "give one or more images"),
    ):
        with pytest.raises(SystemExit) as exit_, user_errors():
            translate(Path("run"), paths, **{"to": "coloured", "out": tmp_path / "out", **options})
        assert exit_.value.code == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_classifier_is_trained_once_and_on_its_domain(monkeypatch):
    found, asked = load(Options(DATA)), []

    def train(domain, *, steps):
        asked.append((domain, steps))
        return SimpleNamespace(probabilities=lambda images: images[:, 0, :2, 0])

    monkeypatch.setattr("experiments.parts.domains.train_extractor", train)
    classify = make_classify(found.second)
    images = np.array([[0.1, 0.9], [0.8, 0.2]]).reshape(2, 1, 2, 1)
    assert [classify(images).tolist(), classify(images[::-1]).tolist()] == [[1, 0], [0, 1]]
    assert asked == [(found.second, CLASSIFIER_STEPS)]


def test_classes_have_no_digit_to_keep():
    assert not keeps_class(load(Options(DATA, domains="classes")))
