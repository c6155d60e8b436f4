"""Compare classifiers on few labels, with and without a pretrained encoder: python -m genjax transfer RUN.

The decoder of an autoencoder is discarded, a classifier is put on the encoder, and both are trained on the images that
have labels. RUN is a finished run of `experiments.autoencoder`; its encoder was trained on all training images, without
labels. For each number of labels and each seed, labels are known for a random subset of the training split with equally
many examples of each class (`choose_labelled` in genjax/data/labels.py), and for no other image:

    random, fine-tuned          a fresh encoder and a linear classifier, trained on the subset
    pretrained, fine-tuned      the run's encoder and a linear classifier, both trained on the subset
    pretrained, frozen          the run's encoder, not trained further, and a linear classifier
    codes + logistic            scikit-learn's logistic regression on the run's codes
    PCA + logistic              the same on as many principal components, fitted to all training images
    pixels + logistic           the same on pixels

    python -m genjax transfer RUN --labels 10 100 1000 --seeds 5

The first three methods are `classifier` in genjax/models/latent/classifier.py. They minimize the cross-entropy with
Adam and a cosine decay for a fixed number of steps: no step is selected, since no further labels are known. Logistic
regression has scikit-learn's own settings (an L2 penalty with C = 1). Subset s uses the encoder of the run's s-th seed,
starting again from the first seed if the run has fewer. The table has the error rate on the whole test split, mean and
standard deviation over seeds; it is saved as transfer.json in the run's directory.

Known failures: the number of steps and the rates are the same for all numbers of labels, and are not tuned.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from jaxtyping import Float, Int
from rich.console import Console
from rich.table import Table

from genjax.capabilities import Encoder
from genjax.core import Model, TrainState
from genjax.data.dataset import Dataset, Split
from genjax.data.feed import Feed, batch_indices, indexed_load
from genjax.data.files import chosen
from genjax.data.labels import choose_labelled, has_labels, labels_of
from genjax.evaluation import EVALUATION_BATCH, evaluate_split, evaluation_key, make_evaluate_seeds
from genjax.measures.features import features_function, fit_pca, make_features, pixels, principal
from genjax.models.latent.classifier import classifier
from genjax.runs.directory import RunError, write_json
from genjax.runs.options import check_positive
from genjax.runs.report import commit, mean_and_deviation, summary, surroundings
from genjax.runs.restore import Restored, restore_run
from genjax.training import entry, init_seeds, iterate
from genjax.types import Embed, Params, PyTree

FILE = "transfer.json"

Errors = Float[np.ndarray, " seeds"]
Rows = Int[np.ndarray, "seeds labels"]
"""Indices of the training examples whose labels each seed knows."""


class Training(NamedTuple):
    """Training settings of a classifier."""

    steps: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    """Learning rate of the linear classifier on a frozen encoder."""


def transfer(
    directory: Annotated[Path, tyro.conf.Positional],
    *,
    labels: tuple[int, ...] = (10, 100, 1000),
    seeds: int = 5,
    steps: int = 1000,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    head_learning_rate: float = 1e-2,
    data_dir: Path | None = None,
) -> None:
    """Compare classifiers on few labels, with the encoder of a run and without; print and save their test errors.

    Args:
        directory: Run directory of an autoencoder.
        labels: Numbers of labelled examples.
        seeds: Number of subsets of each size, each with another initialization of the classifier.
        steps: Training steps of each classifier.
        batch_size: Number of examples per step; the complete subset if it has fewer.
        learning_rate: Initial learning rate of Adam where the encoder is trained too.
        head_learning_rate: Initial learning rate of Adam where the encoder is frozen.
        data_dir: TFDS directory, if it differs from that of the training.
    """
    try:
        check_positive(
            labels=min(labels, default=0),
            seeds=seeds,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            head_learning_rate=head_learning_rate,
        )
    except ValueError as error:
        raise RunError(error, exit_code=2) from error
    run = restore_run(directory, data_dir=data_dir)
    check_run(directory, run)
    data = run.experiment.data
    known = known_labels(data.train)
    subsets = {count: draw_rows(known, count, seeds) for count in labels}
    training = Training(steps, batch_size, learning_rate, head_learning_rate)
    errors = {count: all_errors(run, rows, known, training) for count, rows in subsets.items()}
    table = {
        method: {str(count): summary(errors[count][method], "exact") for count in labels}
        for method in errors[labels[0]]
    }
    title = f"test error on {data.name} ({data.protocol}), {seeds} seeds, {run.done} steps of pretraining"
    Console().print(errors_table(table, title))
    protocol = {
        "labels": list(labels),
        "seeds": list(range(seeds)),
        "encoder_seeds": [run_seed(run, seed) for seed in range(seeds)],
        "pretraining_steps": run.done,
        "training_examples": data.train.size,
        "test_examples": data.test.size,
        **training._asdict(),
    }
    write_json(directory / FILE, {"protocol": protocol, "error_rate": table, **surroundings(), "commit": commit()})
    print(f"saved: {directory / FILE}")


def check_run(directory: Path, run: Restored) -> None:
    """Raise RunError if the run has no encoder to transfer, or its data no labels."""
    encoder_of(run)
    if not has_labels(run.experiment.data):
        raise RunError(f"{directory} is of {run.experiment.data.name!r}, which has no labels to transfer to")


def encoder_of(run: Restored) -> Encoder:
    """Return the encoder of the run's model; RunError if it has none."""
    encoder = run.experiment.capability(Encoder)
    if encoder is None:
        raise RunError(f"{run.config.name} has no encoder to transfer; runs of an autoencoder have")
    return encoder


def known_labels(split: Split) -> Int[np.ndarray, " N"]:
    """Return all labels; RunError if a label is negative, by which some data sets mark unknown labels."""
    label = labels_of(split)
    if label.min() < 0:
        raise RunError(f"labels of the training split go down to {label.min()}, must be 0 or more")
    return label


def draw_rows(label: Int[np.ndarray, " N"], count: int, seeds: int) -> Rows:
    """Return a balanced subset of `count` examples per seed; RunError if a class would be missing or examples lack."""
    classes = len(np.unique(label))
    if not classes <= count <= len(label):
        allowed = f"must be from {classes}, one for each class, to {len(label)}, the training examples"
        raise RunError(f"--labels {count}: {allowed}", exit_code=2)
    return np.stack([choose_labelled(label, count, seed=seed) for seed in range(seeds)])


def run_seed(run: Restored, seed: int) -> int:
    """Return the training seed whose encoder is used for subset number `seed`."""
    return run.seeds[seed % len(run.seeds)]


def all_errors(run: Restored, rows: Rows, label: Int[np.ndarray, " N"], training: Training) -> dict[str, Errors]:
    """Return the test error of every method on these subsets, [seeds] each."""
    data, (encoder, latents) = run.experiment.data, encoder_of(run)
    make = functools.partial(classifier, encoder, int(label.max()) + 1)
    learnt = {seed: run.chosen(seed)[0] for seed in run.seeds}
    params = [learnt[run_seed(run, seed)] for seed in range(len(rows))]
    pretrained = stacked([one["encoder"] for one in params])
    moving = make(optimizer=decayed(training.learning_rate, training.steps))
    frozen = make(optimizer=decayed(training.head_learning_rate, training.steps), frozen=True)
    train = functools.partial(trained_errors, run, rows, training)
    codes = features_function(run.experiment.model)
    pca = fit_pca(data, latents)
    return {
        "random, fine-tuned": train(moving, None),
        "pretrained, fine-tuned": train(moving, pretrained),
        "pretrained, frozen": train(frozen, pretrained),
        "codes + logistic": logistic_errors(data, rows, codes, params),
        "PCA + logistic": logistic_errors(data, rows, principal, [pca] * len(rows)),
        "pixels + logistic": logistic_errors(data, rows, pixels, [{}] * len(rows)),
    }


@jax.jit
def stacked(trees: Sequence[PyTree]) -> PyTree:
    """Return the trees as one, whose arrays have a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def decayed(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """Return Adam with a cosine decay of its learning rate."""
    return optax.adam(optax.cosine_decay_schedule(learning_rate, steps))


def trained_errors(run: Restored, rows: Rows, training: Training, model: Model, encoders: PyTree | None) -> Errors:
    """Return test error rates of classifiers trained on these subsets, from `encoders` [seeds, ...] or new encoders."""
    data = run.experiment.data
    evaluate_seeds = make_evaluate_seeds(model.evaluate, data.load)
    size = min(EVALUATION_BATCH, data.test.size)
    errors = []
    for group in groups(run, len(rows)):
        feed = subset_feed(data, rows, group, training.batch_size)
        own = None if encoders is None else entry(encoders, jnp.asarray(group))
        state = train_classifiers(model, feed, group, training.steps, own)
        found = evaluate_split(
            evaluate_seeds, state.params, state.stats, data.test, key=evaluation_key(), batch_size=size
        )
        errors.append(found["error_rate"].mean(axis=1, dtype=np.float64))
    return np.concatenate(errors)


def groups(run: Restored, seeds: int) -> list[list[int]]:
    """Return the groups of seeds that train in one program: all, or single seeds where a CPU gains nothing by more."""
    alone = jax.default_backend() == "cpu" and not run.experiment.model.seeds_together
    return [[seed] for seed in range(seeds)] if alone else [list(range(seeds))]


def train_classifiers(
    model: Model, feed: Feed, seeds: Sequence[int], steps: int, encoders: PyTree | None
) -> TrainState:
    """Return the state after `steps` steps, from `encoders` [seeds, ...] if given; every leaf has a seed axis."""
    state = init_seeds(model, feed, seeds)
    if encoders is not None:
        state = state._replace(params={**state.params, "encoder": encoders})
    for _, trained, _ in iterate(model, feed, state, steps):
        state = trained
    return state


def subset_feed(data: Dataset, rows: Rows, seeds: Sequence[int], batch_size: int) -> Feed:
    """Return batches of each seed's own subset in its own order; a batch is the subset if that is smaller."""
    count = rows.shape[1]
    examples = data.train.read(rows[list(seeds)].reshape(-1))
    starts = count * np.arange(len(seeds))[:, None]

    def items(start: int) -> Iterator[np.ndarray]:
        for step in itertools.count(start):
            yield starts + batch_indices(tuple(seeds), step, min(batch_size, count), count)

    return Feed(jax.device_put(dict(examples)), items, indexed_load(data.load))


def logistic_errors(data: Dataset, rows: Rows, embed: Embed, params: Sequence[Params]) -> Errors:
    """Return the test error rates of logistic regression on features of the subsets, [seeds].

    `params` holds each seed's parameters of the features; where seeds share them, test features are computed once.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import

    features_of = make_features(embed, data.load)
    tests = {id(one): features_of(one, {}, data.test) for one in {id(one): one for one in params}.values()}

    def error(rows: Int[np.ndarray, " labels"], params: Params) -> float:
        known, test = features_of(params, {}, chosen(data.train, rows)), tests[id(params)]
        model = LogisticRegression(max_iter=2000).fit(known.features, known.label)
        return float((model.predict(test.features) != test.label).mean())

    return np.array([error(*pair) for pair in zip(rows, params, strict=True)])


def errors_table(table: Mapping[str, Mapping[str, Any]], title: str) -> Table:
    """Return a table with one row per method and one column per number of labels."""
    shown = Table(title=title, min_width=len(title))
    shown.add_column("method")
    for count in next(iter(table.values())):
        shown.add_column(f"{count} labels", justify="right")
    for method, errors in table.items():
        shown.add_row(method, *[mean_and_deviation(values) for values in errors.values()])
    return shown
