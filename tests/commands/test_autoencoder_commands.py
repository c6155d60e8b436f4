"""The autoencoder's run, and the commands that use its encoder: embed and transfer."""

import json

import jax
import numpy as np
import PIL.Image
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from experiments.autoencoder import PRESETS, Options, autoencoder, drawn_codes
from genjax.commands.embed import check_features, embed, features_of_files
from genjax.commands.sample import sample
from genjax.commands.transfer import (
    check_run,
    decayed,
    draw_rows,
    groups,
    known_labels,
    logistic_errors,
    run_seed,
    subset_feed,
    train_classifiers,
    transfer,
)
from genjax.data.dataset import Split
from genjax.data.labels import choose_labelled
from genjax.data.load import load_dataset
from genjax.measures.features import make_features, pixels
from genjax.metrics.probe import Labelled, linear_probe
from genjax.models.latent.autoencoder import mlp_networks
from genjax.models.latent.classifier import classifier
from genjax.runs.config import parse
from genjax.runs.directory import RunError
from genjax.runs.restore import restore_run
from genjax.runs.runner import main

OPTIONS = ["--hidden", "16", "--latents", "3", "--steps", "40", "--evaluate-every", "40", "--seeds", "4", "7"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("autoencoder") / "run"
    with pytest.raises(SystemExit) as exit_:
        main(autoencoder, PRESETS, [*OPTIONS, "--workdir", str(path)])
    assert exit_.value.code == 0
    return path


@pytest.fixture(scope="module")
def run(directory):
    return restore_run(directory)


@pytest.fixture(scope="module")
def digits():
    """Flat pixels of all training and test images as a run sees them."""
    data = load_dataset("digits", binarization="none")
    return [make_features(pixels, data.load)({}, {}, split) for split in (data.train, data.validation, data.test)]


def embedded(directory, path, **options):
    embed(directory, out=path, **options)
    with np.load(path) as file:
        return dict(file)


def codes(run, images, seed=4):
    params, stats = run.chosen(seed)
    shaped = np.asarray(images, np.float32).reshape(-1, 8, 8, 1)
    return np.asarray(jax.jit(run.experiment.model.embed)(params, stats, {"image": shaped}))


def test_features_of_a_split_are_in_its_order(digits):
    """The stored images, found by their pixels: all three splits together are the whole set, with its labels."""
    stored, label = load_digits(return_X_y=True)
    assert [len(one.features) for one in digits] == [1297, 200, 300]
    found = np.concatenate([one.features for one in digits]) * 16
    order = [np.flatnonzero((stored == image).all(axis=1))[0] for image in found]
    assert len(set(order)) == 1797
    np.testing.assert_array_equal(label[order], np.concatenate([one.label for one in digits]))


def test_a_run_measures_pca_and_the_probe_beside_the_error(directory, run, digits):
    metrics = json.loads((directory / "result.json").read_text())["metrics"]
    assert set(metrics) == {"mse", "squared_error", "pca_mse", "probe_error", "pca_probe_error"}
    np.testing.assert_allclose(metrics["squared_error"]["mean"], 64 * metrics["mse"]["mean"], rtol=1e-5)
    train, _, test = digits
    pca = PCA(3).fit(train.features)
    restored = pca.inverse_transform(pca.transform(test.features))
    np.testing.assert_allclose(metrics["pca_mse"]["mean"], ((restored - test.features) ** 2).mean(), rtol=1e-4)
    probes = {
        "pca_probe_error": [Labelled(pca.transform(one.features), one.label) for one in digits],
        "probe_error": [Labelled(codes(run, one.features), one.label) for one in digits],
    }
    for name, parts in probes.items():
        np.testing.assert_allclose(metrics[name]["per_seed"][0], linear_probe(*parts), atol=0.01)
    assert {path.stem for path in (directory / "figures").iterdir()} == {"reconstructions", "codes", "learning_curves"}


def test_a_model_that_draws_nothing_is_not_sampled_from(directory):
    with pytest.raises(RunError, match="autoencoder draws no images"):
        sample(directory)


@pytest.mark.parametrize("label", [np.arange(30) % 3, None])
def test_codes_are_drawn_by_their_label_along_two_axes(label):
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(30, 2))
    for points in (flat, np.concatenate([1e-3 * rng.normal(size=(30, 1)), 9 * flat], axis=1)):
        axes = drawn_codes(points.astype(np.float32), label).axes[0]
        shown = np.concatenate([np.asarray(dots.get_offsets()) for dots in axes.collections])
        assert len(axes.collections) == (1 if label is None else 3)
        order = np.argsort(np.arange(30) if label is None else label, kind="stable")
        scale = 1 if points.shape[1] == 2 else 9
        expected = scale * (flat if scale == 1 else flat - flat.mean(0))[order]
        np.testing.assert_allclose(shown @ shown.T, expected @ expected.T, atol=0.02 * scale)  # up to a rotation


def test_embed_saves_the_codes_of_the_runs_own_images(directory, run, digits, tmp_path):
    train, _, test = digits
    found = embedded(directory, tmp_path / "new" / "a.npz")
    assert set(found) == {"features", "label"}
    np.testing.assert_allclose(found["features"], codes(run, test.features), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["label"], test.label)
    other = embedded(directory, tmp_path / "b.npz", split="train", seed=7)
    np.testing.assert_allclose(other["features"], codes(run, train.features, seed=7), rtol=1e-4, atol=1e-5)


def test_embed_takes_the_users_own_images_in_their_order(directory, run, digits, tmp_path):
    values = (digits[2].features[:6] * 16).astype(np.uint8).reshape(6, 8, 8) * 15
    np.savez(tmp_path / "mine.npz", image=values[:2], label=np.array([5, 6]))
    for name, image in zip(("b/1", "b/0", "a/9", "c/x"), values[2:], strict=True):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(image).save(tmp_path / "photos" / f"{name}.png")
    found = embedded(directory, tmp_path / "a.npz", images=(tmp_path / "mine.npz", tmp_path / "photos"))
    order = [0, 1, 4, 3, 2, 5]
    np.testing.assert_allclose(found["features"], codes(run, values[order] / 255), rtol=1e-4, atol=1e-5)
    assert found["label"].tolist() == [5, 6, 0, 1, 1, 2]
    assert [name.removeprefix(f"{tmp_path}/") for name in found["name"]] == [
        "mine.npz[0]",
        "mine.npz[1]",
        *(f"photos/{name}.png" for name in ("a/9", "b/0", "b/1", "c/x")),
    ]


def test_embed_takes_the_part_that_split_names(directory, run, digits, tmp_path):
    values = (digits[2].features[:6] * 16).astype(np.uint8).reshape(6, 8, 8) * 15
    parts = {"train": values[:3], "validation": values[3:4], "test": values[4:]}
    np.savez(tmp_path / "mine.npz", **parts)
    for part, images in parts.items():
        for number, image in enumerate(images):
            (tmp_path / "photos" / part / "only").mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(image).save(tmp_path / "photos" / part / "only" / f"{number}.png")
    found = embedded(directory, tmp_path / "a.npz", images=(tmp_path / "photos", tmp_path / "mine.npz"), split="train")
    assert set(found) == {"features", "name"}  # half of them have no label
    np.testing.assert_allclose(found["features"][:3], codes(run, values[:3] / 255), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["features"][3:], found["features"][:3], rtol=1e-5, atol=1e-6)


def test_embed_names_what_is_wrong(directory, run, tmp_path):
    np.savez(tmp_path / "large.npz", image=np.zeros((3, 8, 9), np.uint8))
    np.savez(tmp_path / "other.npz", pictures=np.zeros((3, 8, 8), np.uint8))
    for name, message in {
        "large.npz": r"--images .*large.npz: images of shape \(8, 9, 1\), must be \(8, 8, 1\)",
        "none": r"--images .*none: no such folder",
        "none.npz": r"--images .*none.npz: no such file",
        "other.npz": r"has the arrays \['pictures'\]; needs image, or test",
    }.items():
        with pytest.raises(RunError, match=message):
            features_of_files(run, 4, (tmp_path / name,), "test")
    with pytest.raises(RunError, match=r"--seed 5 must be one of the run's seeds: \[4, 7\]"):
        embed(directory, out=tmp_path / "a.npz", seed=5)
    with pytest.raises(RunError, match=r"a\.csv must end in \.npz"):
        embed(directory, out=tmp_path / "a.csv")
    without = run.experiment._replace(model=run.experiment.model._replace(embed=None))
    other = run.config._replace(experiment="experiments.nade:nade")
    with pytest.raises(RunError, match="nade has no features"):
        check_features(run._replace(config=other, experiment=without))
    assert not (tmp_path / "a.npz").exists()


def test_transfer_compares_and_saves(directory, capsys):
    transfer(directory, labels=(12,), seeds=3, steps=3)
    saved = json.loads((directory / "transfer.json").read_text())
    assert list(saved["error_rate"]) == [
        "random, fine-tuned",
        "pretrained, fine-tuned",
        "pretrained, frozen",
        "codes + logistic",
        "PCA + logistic",
        "pixels + logistic",
    ]
    for errors in saved["error_rate"].values():
        assert set(errors) == {"12"}
        assert all(len(one["per_seed"]) == 3 and 0 < min(one["per_seed"]) < 1 for one in errors.values())
    protocol = saved["protocol"]
    assert (protocol["labels"], protocol["seeds"], protocol["encoder_seeds"]) == ([12], [0, 1, 2], [4, 7, 4])
    assert (protocol["steps"], protocol["test_examples"], protocol["pretraining_steps"]) == (3, 300, 40)
    shown = capsys.readouterr().out
    mean = saved["error_rate"]["pixels + logistic"]["12"]["mean"]
    assert f"{mean:.4f} ±" in shown


def test_logistic_regression_is_scikit_learns_on_the_subset(run, digits):
    train, _, test = digits
    rows = np.stack([choose_labelled(train.label, 30, seed=seed) for seed in range(2)])
    expected = [
        1
        - LogisticRegression(max_iter=2000).fit(train.features[own], train.label[own]).score(test.features, test.label)
        for own in rows
    ]
    found = logistic_errors(run.experiment.data, rows, pixels, [{}] * 2)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_each_seed_trains_on_its_own_labels_only(run, digits):
    rows = np.stack([choose_labelled(digits[0].label, 12, seed=seed) for seed in range(3)])
    feed = subset_feed(run.experiment.data, rows, (0, 2), 5)
    seen, load = [set(), set()], jax.jit(feed.load)
    for _, item in zip(range(5), feed.items(0), strict=False):
        for place in (0, 1):
            batch = load(feed.arrays, item[place], jax.random.key(0))
            seen[place] |= {image.tobytes() for image in np.asarray(batch["image"])}
    for place, seed in enumerate((0, 2)):
        assert seen[place] == {image.tobytes() for image in digits[0].features[rows[seed]]}


def test_a_frozen_encoder_stays_that_of_the_run_bit_for_bit(run, digits):
    rows = np.stack([choose_labelled(digits[0].label, 10, seed=seed) for seed in range(2)])
    encoders = [run.chosen(seed)[0]["encoder"] for seed in (4, 7)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *encoders)
    encoder = mlp_networks((8, 8, 1), hidden=(16,), latents=3).encoder
    model = classifier(encoder, 10, optimizer=decayed(0.01, 4), frozen=True)
    state = train_classifiers(model, subset_feed(run.experiment.data, rows, (0, 1), 10), (0, 1), 4, stacked)
    for place, encoder in enumerate(encoders):
        pairs = zip(jax.tree.leaves(encoder), jax.tree.leaves(state.params["encoder"]), strict=True)
        assert all(before.tobytes() == np.asarray(after)[place].tobytes() for before, after in pairs)


def test_seeds_train_together_where_that_pays(run):
    alone = run._replace(experiment=run.experiment._replace(model=run.experiment.model._replace(seeds_together=False)))
    assert groups(run, 3) == [[0, 1, 2]]
    assert groups(alone, 3) == ([[0], [1], [2]] if jax.default_backend() == "cpu" else [[0, 1, 2]])


def test_transfer_names_what_is_wrong(directory, run, tmp_path):
    for message, options in {
        "--labels 0 must be above 0": {"labels": ()},
        "--seeds 0 must be above 0": {"seeds": 0},
        "--learning-rate -1.0 must be above 0": {"learning_rate": -1.0},
        "--labels 9: must be from 10, one for each class": {"labels": (9,)},
    }.items():
        with pytest.raises(RunError, match=message):
            transfer(directory, **options)
    label = known_labels(run.experiment.data.train)
    with pytest.raises(RunError, match=r"--labels 5000: must be from 10.* to "):
        draw_rows(label, 5000, 2)
    without = run.experiment._replace(capabilities=())
    other = run.config._replace(experiment="experiments.vae:vae")
    with pytest.raises(RunError, match="vae has no encoder to transfer; runs of an autoencoder have"):
        check_run(directory, run._replace(config=other, experiment=without))
    train = run.experiment.data.train
    bare = Split(train.size, lambda indices: {"image": train.read(indices)["image"]}, None)
    data = run.experiment.data._replace(train=bare, name="photos")
    with pytest.raises(RunError, match="of 'photos', which has no labels"):
        check_run(directory, run._replace(experiment=run.experiment._replace(data=data)))
    unknown = Split(3, lambda indices: {"label": np.array([0, -1, 2])[indices]}, None)
    with pytest.raises(RunError, match="go down to -1"):
        known_labels(unknown)


def test_encoders_are_taken_in_turn(run):
    assert [run_seed(run, seed) for seed in range(5)] == [4, 7, 4, 7, 4]


def test_options_out_of_range_are_named():
    for message, options in {
        "--latents 0 must be above 0": {"latents": 0},
        "--hidden 0 must be above 0": {"hidden": (8, 0)},
        "--channels 0 must be above 0": {"network": "conv", "channels": ()},
        "--features 0 must be above 0": {"network": "conv", "features": 0},
    }.items():
        with pytest.raises(ValueError, match=message):
            autoencoder(Options(**options))


def test_no_hidden_widths_are_a_linear_autoencoder():
    assert parse(autoencoder, PRESETS, ["--hidden"]).options.hidden == ()
    assert parse(autoencoder, PRESETS, []).options.hidden == (256, 128)
