"""Time series: real values one after another, by an LSTM with a mixture of Gaussians (Graves 2013, section 4.1).

    p(x) = prod_t p(x_t | x_<t),   p(x_t | x_<t) = sum_k w_k N(x_t | m_k, s_k^2),   (w, m, s) = V h_t + b

The weights w pass through a softmax and the deviations s through an exponential (`gaussian_mixture` in
genjax/models/autoregressive/char_rnn.py). The LSTM h_t, the training and the sampling are the same as in
experiments.char_rnn.

    python -m experiments.time_series                             the oscillation, embedded
    python -m experiments.time_series --components 1              one Gaussian, which cannot have two peaks
    python -m experiments.time_series --preset small              longer training, three seeds
    python -m experiments.time_series --preset paper              a larger network
    python -m experiments.time_series --series my.csv             a series of your own (.npy, .csv: its last column)

Data: the oscillation (genjax/data/series.py) is a damped pendulum that is pushed to one side or the other in each step:
x_t = a x_{t-1} + b x_{t-2} + e_t, with e_t around -1 or 1 and standard deviation 0.25. Its likelihood is known.

Metrics: nats_per_value is the mean of -log p of a held-out value, exact: the density is in the unit of the data, so it
may be negative. For the oscillation, true_nats_per_value in result.json is this mean under the true process (without
the first two values, which start it); a model can fall below it only by chance. One Gaussian cannot get below 1.449,
the entropy of the Gaussian with the variance of e_t.

Pictures: simulated continuations of test values, and the density of one value given those before it.

Known failures: with more than some ten components, several become the same. A series whose level drifts beyond the
range of the training part is extrapolated badly.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.char_rnn import adam
from genjax.core import Model
from genjax.data.series import Series, load_series, oscillation, oscillation_log_prob
from genjax.data.stream import stream_dataset, stream_feed
from genjax.models.autoregressive import char_rnn as char_rnn_model
from genjax.runs.experiment import Experiment, Reference, Select
from genjax.runs.options import Run, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

PREFIX, CONTINUATION, DRAWN = 60, 60, 5
"""Numbers in the picture of continuations: given test values, values drawn after them, and continuations per prefix."""

HISTOGRAM = 4000
"""Number of values in the histogram of the value after a prefix."""


@dataclass(frozen=True)
class Data:
    """Options of the series to train on."""

    dataset: str = "oscillation"
    """Series: oscillation (embedded); --series takes a file."""
    series: Path | None = None
    """File to read instead of --dataset: .npy, or .csv with the values in its last column."""

    def load(self) -> Series:
        """Return the series in three parts (training, validation, test); ValueError for an unknown name."""
        if self.series is not None:
            return load_series(self.series.expanduser())
        if self.dataset != "oscillation":
            raise ValueError(
                f"--dataset {self.dataset} must be oscillation; for a series of your own give --series FILE"
            )
        return oscillation()


@dataclass(frozen=True)
class Options:
    """Options of a recurrent model of a series of real values."""

    data: Data = Data()
    run: Run = Run()
    components: int = 5
    """Number of Gaussians in the mixture."""
    hidden: int = 32
    """Number of LSTM units in each layer."""
    layers: int = 1
    """Number of LSTM layers."""
    dropout: float = 0.0
    """Probability that an output of a layer is dropped in training."""
    sequence_length: int = 50
    """Number of values that a training step reads in each row of the batch; gradients flow back through all of them."""
    learning_rate: float = 1e-2
    """Initial step size of Adam, before its cosine decay."""


PRESETS = {
    "quick": Options(run=Run(steps=1500, batch_size=20, evaluate_every=250)),
    "small": Options(run=Run(seeds=(0, 1, 2), steps=6000, batch_size=20, evaluate_every=500)),
    "paper": Options(
        run=Run(steps=20_000, batch_size=20, evaluate_every=1000),
        components=20,
        hidden=400,
        layers=3,
    ),
}


def time_series(options: Options) -> Experiment:
    """Return the experiment: a recurrent model of a series of real values."""
    check_positive(sequence_length=options.sequence_length, learning_rate=options.learning_rate)
    source, length = options.data.load(), options.sequence_length
    model = char_rnn_model.series_rnn(
        components=options.components,
        mean=float(source.train.mean()),
        scale=float(source.train.std()),
        hidden=options.hidden,
        layers=options.layers,
        dropout=options.dropout,
        length=CONTINUATION,
        optimizer=adam(options.learning_rate, options.run.steps),
    )
    known = options.data.series is None
    return Experiment(
        model=model,
        data=stream_dataset(source.name, "values", source.train, source.validation, source.test, source.sha256),
        figures=lambda params, stats, key: figures(model, params, stats, source.test, key),
        select=Select("nats_per_value", "min"),
        feed=lambda seeds, batch_size: stream_feed(source.train, seeds, batch_size, length=length),
        facts={"true_nats_per_value": float(-oscillation_log_prob(source.test).mean())} if known else {},
    )


def continuations(model: Model, params: Params, stats: Stats, test: np.ndarray, key: Key, *, panels: int = 3) -> Figure:
    """Plot test values, and continuations that the model draws after some prefixes of them."""
    prefix = min(PREFIX, len(test) // 2)
    shown = min(prefix + CONTINUATION, len(test))
    starts = np.linspace(0, len(test) - shown, panels).astype(int)
    prompts = np.repeat(np.stack([test[start : start + prefix] for start in starts]), DRAWN, axis=0)
    drawn = jax.jit(model.generate)(params, stats, {"prompt": prompts}, key)
    figure = Figure(figsize=(8, 2 * panels), layout="constrained")
    axes = figure.subplots(panels, 1, sharex=True)
    after = np.arange(prefix - 1, prefix + CONTINUATION)
    for row, start, own in zip(axes, starts, np.split(np.asarray(drawn), panels), strict=True):
        row.plot(test[start : start + shown], color="black", linewidth=1.5, label="test values")
        for index, values in enumerate(own):
            row.plot(
                after,
                [test[start + prefix - 1], *values],
                linewidth=0.8,
                label="drawn after the line" if index == 0 else None,
            )
        row.axvline(prefix - 0.5, color="grey", linewidth=0.8)
    axes[0].legend(fontsize=7, loc="upper left")
    axes[-1].set_xlabel("step")
    return figure


def next_values(model: Model, params: Params, stats: Stats, test: np.ndarray, key: Key) -> Figure:
    """Plot a histogram of the values that the model draws after one prefix."""
    prefix = test[: min(PREFIX, len(test))]
    prompts = np.broadcast_to(prefix, (HISTOGRAM, len(prefix)))
    drawn = np.asarray(jax.jit(model.generate)(params, stats, {"prompt": prompts}, key))[:, 0]
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.hist(drawn, bins=80, density=True)
    axes.set_xlabel("the value after a prefix of the test part")
    axes.set_ylabel("density")
    return figure


def figures(model: Model, params: Params, stats: Stats, test: np.ndarray, key: Key) -> dict[str, Figure]:
    """Return the figures: continuations of test values, and the distribution of the value after one prefix."""
    return {
        "samples": continuations(model, params, stats, test, key),
        "next_value": next_values(model, params, stats, test, key),
    }


REFERENCES = (Reference("nats_per_value", "oscillation", "values", 1.449, "the best single Gaussian, exact"),)

HEADLINE = "nats_per_value"

if __name__ == "__main__":
    main(time_series, PRESETS)
