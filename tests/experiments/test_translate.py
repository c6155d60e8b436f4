"""CycleGAN's experiment, and the command that translates a user's own images."""

import json
import shutil

import jax
import numpy as np
import optax
import pytest
from PIL import Image

from experiments.cyclegan import cyclegan, is_read, load
from experiments.domains import linear_decay, make_reader, rows_of_images
from experiments.experiment import Run
from experiments.restore import restore_run
from experiments.runner import main
from experiments.session import user_errors
from experiments.translate import translate
from genjax.data.files import read_image

RUN = Run(binarization="none", steps=10, batch_size=4)
TINY = {"filters": 1, "blocks": 0, "halved": 0, "edge_size": 3, "discriminator_filters": 1}


def test_the_step_size_is_constant_for_half_of_the_steps_and_then_falls_to_0():
    """100 and 100 epochs of the paper."""
    rate = linear_decay(2e-4, 200)
    found = [float(rate(epoch)) for epoch in (0, 50, 100, 150, 200, 300)]
    np.testing.assert_allclose(found, [2e-4, 2e-4, 2e-4, 1e-4, 0, 0], rtol=1e-6)
    updates, _ = optax.sgd(rate).update(1.0, optax.sgd(rate).init(0.0))
    np.testing.assert_allclose(updates, -2e-4, rtol=1e-6)


def test_grey_and_coloured_rows_stand_in_one_picture():
    rows = {"grey": np.full((2, 1, 1, 1), 0.5), "red": np.broadcast_to([1.0, 0, 0], (2, 1, 1, 3))}
    shown = np.asarray(rows_of_images(rows, title="").axes[0].get_images()[0].get_array())
    np.testing.assert_array_equal(shown[[1, 3], 1], [[0.5, 0.5, 0.5], [1, 0, 0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 0}, "--filters 0 must be above 0"),
        ({"run": Run()}, "--binarization static: .* use --binarization none"),
        ({"domains": "sets"}, "--domains sets needs --other, the second set"),
        ({"other": "mnist"}, "--domains inverted has no use for --other mnist"),
        ({"domains": "sets", "other": "./nowhere"}, "dataset='nowhere': no such folder"),
        ({"domains": "classes", "classes": (3, 12)}, "'digits' has no image of class 12"),
        ({"domains": "coloured", "identity_weight": 5.0}, "identity=5.0 needs images of one shape"),
        ({"cycle_weight": -1.0}, "weights: cycle=-1.0 must be at least 0"),
        ({"halved": 2, "shrink": 2}, "height and width must be multiples of 4, at least 8"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        cyclegan(**{"run": RUN, **TINY, **options})


def test_agreement_is_that_of_a_reader_of_the_domain_with_the_labels(monkeypatch):
    """A reader that finds the first row of pixels, which a generator that changes nothing leaves as it is."""
    found = load(RUN, "inverted", other="", classes=(3, 8), shrink=1)
    assert is_read(found)
    assert not is_read(load(RUN, "classes", other="", classes=(3, 8), shrink=1))
    monkeypatch.setattr("experiments.cyclegan.make_reader", lambda domain: lambda images: READ[domain.name](images))
    READ = {"digits": lambda images: np.full(len(images), 3), "inverted": lambda images: np.full(len(images), 5)}
    experiment = cyclegan(RUN, **TINY)
    batch = jax.tree.map(np.asarray, next_batch(experiment))
    params, stats = jax.jit(experiment.model.init)(jax.random.key(0), batch)
    measured = experiment.measure(params, stats, found.both.test, jax.random.key(1))
    label = found.both.test.arrays["label"]
    assert measured["digit_agreement"] == measured["real_digit_agreement"] == (label == 5).mean()
    assert measured["other_digit_agreement"] == measured["other_real_digit_agreement"] == (label == 3).mean()


def next_batch(experiment):
    feed = experiment.training_feed((0,), 2)
    item = jax.tree.map(lambda part: part[0], next(feed.items(0)))
    return feed.load(feed.arrays, item, jax.random.key(0))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run from grey digits to red ones, three steps long, whose readers know nothing."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    arguments = ["--steps", "3", "--batch-size", "2", "--workdir", str(directory), "--domains", "coloured"]
    small = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.domains.READER_STEPS", 1)
        with pytest.raises(SystemExit) as exit_:
            main(cyclegan, {"quick": {"run": RUN}}, [*arguments, *small])
    assert exit_.value.code == 0
    return directory


def save(path, shape=(8, 8), value=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 256, shape) if value is None else np.full(shape, value)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def test_a_run_measures_and_draws_both_directions(finished):
    result = json.loads((finished / "result.json").read_text())
    names = {"cycle_error", "real_score", "fake_score", "paired_error", "digit_agreement", "real_digit_agreement"}
    assert set(result["metrics"]) == names | {f"other_{name}" for name in names}
    grey = load(RUN, "coloured", other="", classes=(3, 8), shrink=1).both.test.arrays["image"]
    np.testing.assert_allclose(result["unchanged_paired_error"], 2 / 3 * 0.8 * grey.mean(), rtol=1e-5)
    assert {path.stem for path in (finished / "figures").iterdir()} == {"to_coloured", "to_digits", "learning_curves"}


def test_images_are_translated_as_the_model_does_it(finished, tmp_path, capsys):
    files = [save(tmp_path / f"in/{name}.png", value=value) for name, value in (("a", None), ("sub/b", 7))]
    translate(finished, (tmp_path / "in",), to="coloured", out=tmp_path / "out")
    assert f"2 images to coloured by cyclegan after 3 steps: {tmp_path / 'out'}" in capsys.readouterr().out
    run = restore_run(finished)
    images = np.stack([np.asarray(Image.open(file)) for file in files])[..., None] / np.float32(255)
    expected = run.experiment.model.generate(*run.chosen(0), {"image": images}, jax.random.key(0))
    made = [read_image(tmp_path / "out" / name, (8, 8, 3)) for name in ("a.png", "sub/b.png")]
    np.testing.assert_allclose(np.stack(made) / 255, expected, atol=0.51 / 255)
    translate(finished, (tmp_path / "out/a.png",), to="digits", out=tmp_path / "back")
    with Image.open(tmp_path / "back/a.png") as image:
        assert (image.mode, image.size) == ("L", (8, 8))


def test_what_cannot_be_translated_is_told_with_its_path(finished, tmp_path, capsys):
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
            translate(finished, paths, **{"to": "coloured", "out": tmp_path / "out", **options})
        assert exit_.value.code == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_reader_learns_its_domain(monkeypatch):
    """Read by chance at first, and by a few steps better."""
    monkeypatch.setattr("experiments.domains.READER_STEPS", 40)
    found = load(RUN, "inverted", other="", classes=(3, 8), shrink=1)
    test = found.second.test.arrays
    assert (make_reader(found.second)(test["image"]) == test["label"]).mean() > 0.3
