"""StarGAN's experiment: its metrics, figures and translations, and its errors about bad options."""

import functools
import math
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments.parts.stargan_measures import called_label
from experiments.stargan import Options, stargan
from genjax.capabilities import Translator
from genjax.commands.translate import translate
from genjax.data.files import read_image
from genjax.pictures import figures
from genjax.runs.checkpoint_state import initial_checkpoint_state
from genjax.runs.options import Data, Run
from genjax.runs.restore import Restored
from genjax.runs.session import user_errors

DATA, RUN = Data(binarization="none"), Run(steps=10, batch_size=4)
TINY = {"run": RUN, "filters": 1, "blocks": 0, "halved": 0, "edge_size": 3, "discriminator_filters": 1, "strided": 1}


def tiny(**options):
    return stargan(Options(**{"data": DATA, **TINY, **options}))


def class_of(kind, images):
    """The class that the classifier of domains or of digits finds: it follows the brightness."""
    return np.floor(1000 * images.mean(axis=(1, 2, 3))).astype(int) % {"domain": 6, "label": 10}[kind]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 0}, "--filters 0 must be above 0"),
        ({"data": Data()}, "--binarization static: .* use --binarization none"),
        ({"run": Run(steps=4)}, "--steps 4: .* after --discriminator-moves 5"),
        ({"reconstruction_weight": -1.0}, "--reconstruction-weight -1.0 must be at least 0 and finite"),
        ({"attributes": ("colour", "shape")}, "--attributes colour shape: must be of colour, ground, polarity, size"),
        ({"attributes": ("size", "size")}, "--domains made: --attributes size size must be one or more, each once"),
        ({"domains": "features"}, "--domains features: --attributes must be one or more"),
        (
            {"attributes": ("size",), "halves": True},
            "--halves: needs .* two or more .*, got made and --attributes size",
        ),
        ({"identity_weight": math.inf}, "--identity-weight inf must be at least 0 and finite"),
        ({"domains": "classes", "halves": True}, "--halves: needs --domains made"),
        ({"domains": "classes", "attributes": ("size",)}, "--domains classes has no use for --attributes size"),
        ({"halved": 2, "shrink": 2}, "--blocks 0 --halved 2 .*multiples of 4, at least 8"),
        ({"strided": 4}, "--strided 4: images of 'digits-colour-ground': .*cannot be halved so often"),
        ({"data": Data("./nowhere", binarization="none")}, "dataset='nowhere': no such folder"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises((ValueError, OSError), match=message):
        tiny(**options)


def test_learning_rates_fall_in_the_second_half_of_each_networks_updates():
    """Under one gradient again and again each update of Adam is as large as its learning rate."""
    model = tiny(learning_rate=0.3, discriminator_learning_rate=0.6).model
    for phase, size, updates in zip(model.phases, (0.6, 0.3), (10, 2), strict=True):
        found, state, advance = [], phase.optimizer.init(jnp.zeros(())), jax.jit(phase.optimizer.update)
        for _ in range(updates):
            update, state = advance(jnp.ones(()), state)
            found.append(-float(update))
        falling = size * (1 - np.arange(updates - updates // 2) / (updates - updates // 2))
        np.testing.assert_allclose(found, [*[size] * (updates // 2), *falling], rtol=1e-4)


def folder_of(path, counts):
    """Sub-folders with so many images each, in train, validation and test."""
    for part in ("train", "validation", "test"):
        for name, count in counts.items():
            for index in range(count):
                save(path / part / name / f"{index}.png", value=index)
    return str(path)


def save(path, value=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 256, (8, 8, 3)) if value is None else np.full((8, 8, 3), value)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


DOMAIN_METRICS = {
    *("cycle_error", "real_score", "fake_score"),
    *("domain_accuracy", "real_domain_accuracy", "unchanged_domain_accuracy"),
}


def metrics_of(experiment):
    """The names of all metrics of an experiment, of networks that are not trained."""
    batch, key = figures.first_test_batch(experiment.data, 2), jax.random.key(0)
    params, stats = jax.jit(experiment.model.init)(key, batch)
    evaluated = jax.eval_shape(experiment.model.evaluate, params, stats, batch, key)
    return {*evaluated, *experiment.measure(params, stats, experiment.data.test, key)}


def test_sub_folders_are_domains_and_one_with_one_image_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "experiments.parts.stargan_measures.make_classify", lambda data: lambda images: np.zeros(len(images), int)
    )
    data = Data(folder_of(tmp_path / "faces", {"calm": 2, "glad": 3}), binarization="none")
    found = tiny(data=data, domains="classes")
    assert list(found.capability(Translator).shapes.items()) == [("0", (8, 8, 3)), ("1", (8, 8, 3))]
    assert metrics_of(found) == DOMAIN_METRICS
    assert found.facts == {}
    data = Data(folder_of(tmp_path / "few", {"calm": 1, "glad": 3}), binarization="none")
    with pytest.raises(ValueError, match=r"--domains classes of --dataset .*domain '0': 1 training images"):
        tiny(data=data, domains="classes")
    with pytest.raises(ValueError, match=r"--domains made of --dataset .*: made of grey images only"):
        tiny(data=data)


@functools.cache
def experiment():
    """Two label sets, with classifiers of brightness."""
    with pytest.MonkeyPatch.context() as patch:

        def classifier(data):
            kind = "domain" if data.train.arrays["label"].max() == 5 else "label"
            return functools.partial(class_of, kind)

        patch.setattr("experiments.parts.stargan_measures.make_classify", classifier)
        return tiny(halves=True)


@functools.cache
def restored(directory=Path("run"), *, data_dir=None):
    """A run of it that is about to begin."""
    del directory, data_dir
    state = initial_checkpoint_state(experiment(), experiment().training_feed((0,), 4), (0,))
    return Restored(stargan, SimpleNamespace(name="stargan"), experiment(), ((0,),), (state,))


@pytest.fixture(autouse=True)
def at_hand(monkeypatch):
    monkeypatch.setattr("genjax.commands.translate.restore_run", restored)


def test_it_measures_domains_and_digits_and_draws_all_domains():
    params, stats = restored().chosen(0)
    test = experiment().data.test
    found = jax.jit(experiment().model.evaluate)(
        params, stats, figures.first_test_batch(experiment().data, 2), jax.random.key(0)
    )
    measured = experiment().measure(params, stats, test, jax.random.key(1))
    batch = jax.jit(experiment().data.load)(dict(test.arrays), jax.random.key(0))
    translated = np.asarray(jax.jit(experiment().model.generate)(params, stats, batch, jax.random.key(0)))
    image = np.asarray(batch["image"])
    expected = {
        "domain_accuracy": test.arrays["target_domain"] == class_of("domain", translated),
        "real_domain_accuracy": test.arrays["domain"] == class_of("domain", image),
        "unchanged_domain_accuracy": test.arrays["target_domain"] == class_of("domain", image),
        "digit_agreement": test.arrays["label"] == class_of("label", translated),
        "real_digit_agreement": test.arrays["label"] == class_of("label", image),
        "unchanged_paired_error": np.abs(test.arrays["image"] - test.arrays["truth"]),
    }
    assert len({values.mean() for values in expected.values()}) == len(expected)
    assert measured == {name: pytest.approx(values.mean(), abs=0.004) for name, values in expected.items()}  # rounding
    of_truth = expected["unchanged_paired_error"].mean()
    assert measured["unchanged_paired_error"] == pytest.approx(of_truth, rel=1e-5)
    assert {*found, *measured} == DOMAIN_METRICS | {"paired_error", *expected}
    assert {experiment().kind(name) for name in (*found, *measured)} == {"estimate"}
    drawn = experiment().figures(params, stats, jax.random.key(0))
    columns = [label.get_text() for label in drawn["domains"].axes[0].get_xticklabels()]
    assert columns == ["image", "red", "green", "blue", "black", "grey"]
    rows = [label.get_text() for label in drawn["round_trips"].axes[0].get_yticklabels()]
    assert rows == ["image", "translation", "the truth", "and back"]


def test_a_classifier_of_domains_has_them_as_labels():
    data = called_label(experiment().data, "domain")
    whole = experiment().data.test.arrays
    np.testing.assert_array_equal(data.test.read(np.arange(3))["label"], whole["domain"][:3])
    np.testing.assert_array_equal(data.test.arrays["label"], whole["domain"])


def test_images_are_translated_as_the_model_does_it(tmp_path):
    file = save(tmp_path / "a.png")
    generate = jax.jit(experiment().model.generate)
    for name, bits, label_set in (("green", [0, 1, 0, 0, 0], 0), ("grey", [0, 0, 0, 0, 1], 1)):
        translate(Path("run"), (file,), to=name, out=tmp_path / name)
        images = np.asarray(Image.open(file))[None] / np.float32(255)
        batch = {"image": images, "target": np.array([bits]), "target_set": np.array([label_set])}
        expected = generate(*restored().chosen(0), batch, jax.random.key(0))
        np.testing.assert_allclose(read_image(tmp_path / name / "a.png", (8, 8, 3)) / 255, expected[0], atol=0.51 / 255)


def test_an_unknown_domain_is_told_with_the_known_ones(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_, user_errors():
        translate(Path("run"), (save(tmp_path / "a.png"),), to="mauve", out=tmp_path / "out")
    assert exit_.value.code == 2
    assert "--to mauve: no domain of this run; it has red, green, blue, black, grey" in capsys.readouterr().err
