"""Time series: real values one after another, by an LSTM with a mixture of Gaussians (Graves 2013, section 4.1).

    p(x) = prod_t p(x_t | x_<t),   p(x_t | x_<t) = sum_k w_k N(x_t | m_k, s_k^2),   (w, m, s) = V h_t + b

with softmax and exponential where weights and deviations ask for them (`gaussian_mixture` in
genjax/models/autoregressive/char_rnn.py); h_t, training and sampling are those of experiments.char_rnn.

    python -m experiments.time_series                             the oscillation, embedded
    python -m experiments.time_series --components 1              with one Gaussian, which cannot have two peaks
    python -m experiments.time_series --series my.csv             a series of one's own (.npy, .csv: its last column)

The oscillation (genjax/data/series.py) is a damped pendulum that each step kicks to one side or the other:
x_t = a x_{t-1} + b x_{t-2} + e_t, e_t about -1 or 1 with standard deviation 0.25. Its likelihood is known, so that
`nats_per_value` has a floor, the true process's own on the same values but the first two, which begin it:
`true_nats_per_value` in result.json. One Gaussian cannot get below 1.449, the entropy of the Gaussian with the variance
of e_t.

    --preset quick     0.7333 on the test split, where the true process has 0.7233; 43 s on two CPU cores

The nats are of a density in the unit of the data, and may be negative. Pictures: simulated continuations of test
values, and the density of one value given those before it.

Known failures: with more than some ten components several do the same; a series whose level drifts beyond what the
training part has seen is extrapolated badly.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.char_rnn import adam
from genjax.data.series import load_series, oscillation, oscillation_log_prob
from genjax.data.stream import stream_dataset, stream_feed
from genjax.models.autoregressive import char_rnn as char_rnn_model
from genjax.runs.experiment import Common, Experiment, Precision, Reference, Run, Select, check_positive, compute_dtype
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

PREFIX, CONTINUATION, DRAWN = 60, 60, 5
"""Of the picture: test values that are given, values drawn after them, and how often."""

HISTOGRAM = 4000
"""Values in the histogram."""


def time_series(
    run: Common = Run(),  # noqa: B008 (frozen)
    *,
    series: str | None = None,
    components: int = 5,
    hidden: int = 32,
    layers: int = 1,
    dropout: float = 0.0,
    sequence_length: int = 50,
    precision: Precision = "float32",
    learning_rate: float = 1e-2,
) -> Experiment:
    """A recurrent model of a series of real values.

    Args:
        run: Seeds and steps; --dataset is oscillation (embedded).
        series: File to read in place of it: .npy, or .csv with the values in its last column.
        components: Gaussians in the mixture.
        hidden: LSTM units in each layer.
        layers: Layers.
        dropout: Probability that an output of a layer is left out in training.
        sequence_length: Values through which gradients flow back: each step reads so many in every row.
        precision: Of the computation; parameters are float32.
        learning_rate: Adam's step size at the start of its cosine decay.
    """
    check_positive(sequence_length=sequence_length, learning_rate=learning_rate)
    if series is None and run.dataset != "oscillation":
        raise ValueError(f"dataset={run.dataset!r}: must be oscillation; for a series of your own give --series FILE")
    source = oscillation() if series is None else load_series(Path(series).expanduser())
    model = char_rnn_model.series_rnn(
        components=components,
        mean=float(source.train.mean()),
        scale=float(source.train.std()),
        hidden=hidden,
        layers=layers,
        dropout=dropout,
        length=CONTINUATION,
        dtype=compute_dtype(precision),
        optimizer=adam(learning_rate, run.steps),
    )
    return Experiment(
        model=model,
        data=stream_dataset(source.name, "values", source.train, source.validation, source.test, source.sha256),
        kinds={"nats_per_value": "exact"},
        figures=lambda params, stats, key: figures(model, params, stats, source.test, key),
        select=Select("nats_per_value", "min"),
        feed=lambda seeds, batch_size: stream_feed(source.train, seeds, batch_size, length=sequence_length),
        facts={} if series else {"true_nats_per_value": float(-oscillation_log_prob(source.test).mean())},
    )


def continuations(
    model: char_rnn_model.Model, params: Params, stats: Stats, test: np.ndarray, key: Key, *, panels: int = 3
) -> Figure:
    """Values of the test part, and what the model draws after each of some prefixes of them."""
    prefix = min(PREFIX, len(test) // 2)
    shown = min(prefix + CONTINUATION, len(test))
    starts = np.linspace(0, len(test) - shown, panels).astype(int)
    prompts = np.repeat(np.stack([test[start : start + prefix] for start in starts]), DRAWN, axis=0)
    drawn = jax.jit(model.generate)(params, stats, {"prompt": jnp.asarray(prompts)}, key)
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


def next_values(model: char_rnn_model.Model, params: Params, stats: Stats, test: np.ndarray, key: Key) -> Figure:
    """A histogram of values drawn after one prefix."""
    prefix = test[: min(PREFIX, len(test))]
    prompts = jnp.broadcast_to(jnp.asarray(prefix), (HISTOGRAM, len(prefix)))
    drawn = jax.jit(model.generate)(params, stats, {"prompt": prompts}, key)[:, 0]
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.hist(np.asarray(drawn), bins=80, density=True)
    axes.set_xlabel("the value after a prefix of the test part")
    axes.set_ylabel("density")
    return figure


def figures(model: char_rnn_model.Model, params: Params, stats: Stats, test: np.ndarray, key: Key) -> dict[str, Figure]:
    """Continuations of test values, and the distribution of the value after one prefix."""
    return {
        "samples": continuations(model, params, stats, test, key),
        "next_value": next_values(model, params, stats, test, key),
    }


PRESETS = {
    "quick": {"run": Run(dataset="oscillation", steps=1500, batch_size=20, evaluate_every=250)},
    "small": {"run": Run(dataset="oscillation", seeds=(0, 1, 2), steps=6000, batch_size=20, evaluate_every=500)},
    "paper": {
        "run": Run(dataset="oscillation", steps=20_000, batch_size=20, evaluate_every=1000),
        "hidden": 400,
        "layers": 3,
        "components": 20,
    },
}

REFERENCES = (Reference("nats_per_value", "oscillation", "values", 1.449, "the best single Gaussian, exact"),)

HEADLINE = "nats_per_value"

if __name__ == "__main__":
    main(time_series, PRESETS)
