"""char-RNN: a text, character by character, by recurrent networks (Karpathy 2015).

    p(x) = prod_t p(x_t | x_<t),   p(x_t | x_<t) = softmax(V h_t + b),   h_t = LSTM(x_{t-1}, h_{t-1})

    i, f, o, g = x W + h U + b,   c = sigmoid(f) c + sigmoid(i) tanh(g),   h = sigmoid(o) tanh(c)

The last line is `LSTM` in genjax/networks/recurrent.py, the first is `log_probs` in
genjax/models/autoregressive/char_rnn.py; `continuation` in the same file generates text. Training is truncated
backpropagation through time: the text is laid out in rows that continue from step to step (genjax/data/stream.py), the
state of the network is carried from one step to the next, and gradients stop where a step begins.

    python -m experiments.char_rnn                                            scikit-learn's descriptions, embedded
    python -m experiments.char_rnn --preset small --data-dir DIR              tiny_shakespeare
    python -m experiments.char_rnn --preset paper --data-dir DIR              the same, two layers and RMSProp
    python -m experiments.char_rnn --text my.txt                              a text of your own, in UTF-8
    python -m genjax sample RUN --prompt "ROMEO:" --temperature 0.8           text from a finished run

Data: the vocabulary is all characters of the whole text; a prompt with other characters is refused. A text without
splits of its own is cut into its first 90, next 5 and last 5 %.

Metrics: nats_per_character and bits_per_character are -log p of held-out text, exact: the mean over all its characters,
each given at least the 250 characters before it (the first 750 characters: all characters before). The baseline is
interpolated Witten-Bell 4-grams, counted on the training part.

Differences from the paper: biases start at 0, and at 1 for the forget gates (in the paper: uniform like the weights,
and at 1); `small` and `quick` take Adam with a cosine decay, and scale down a gradient whose norm is above 1; the
offset at which the rows begin differs from pass to pass and from seed to seed; the parameters with the best validation
score are kept.

Known failures: without dropout it overfits a text of a megabyte after some ten passes. Generated text has the words and
the layout of the training text, and no sense beyond a sentence.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import optax

from genjax.capabilities import Writer
from genjax.core import Model
from genjax.data.stream import stream_dataset, stream_feed
from genjax.data.text import Text, decode, encode, load_text
from genjax.models.autoregressive import char_rnn as char_rnn_model
from genjax.pictures.figures import Figures
from genjax.runs.experiment import Experiment, Reference, Select
from genjax.runs.options import Run, check_positive, expand
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats

WRITTEN = 1000
"""Number of characters of the sample that is drawn at the end of a run."""


@dataclass(frozen=True)
class Data:
    """Options of the text to train on."""

    dataset: str = "descriptions"
    """Text: descriptions (embedded), or the name of a TFDS text such as tiny_shakespeare; --text takes a file."""
    data_dir: Path | None = None
    """TFDS directory that holds the prepared text; TFDS's own default where none is given."""
    text: Path | None = None
    """Text file in UTF-8 to read instead of --dataset."""

    def __post_init__(self) -> None:
        """Expand ~ in paths."""
        expand(self, "data_dir")

    def load(self) -> Text:
        """Return the text in three parts: training, validation and test."""
        return load_text(self.dataset, data_dir=self.data_dir, file=self.text)


@dataclass(frozen=True)
class Options:
    """Options of a recurrent model of a text."""

    data: Data = Data()
    run: Run = Run()
    hidden: int = 128
    """Number of LSTM units in each layer."""
    layers: int = 2
    """Number of LSTM layers."""
    dropout: float = 0.0
    """Probability that an output of a layer is dropped in training."""
    sequence_length: int = 50
    """Number of characters that a training step reads in each row of the batch; gradients flow back through all of
    them."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """Optimizer: Adam with a cosine decay, or the paper's RMSProp, whose step size falls by 3 % per pass from the 10th
    on."""
    learning_rate: float = 2e-3
    """Initial step size of the optimizer."""
    prompt: str = ""
    """Beginning of the sample that is drawn at the end of the run."""
    temperature: float = 1.0
    """Temperature of the final sample: characters are drawn from probabilities to the power of 1 / temperature."""


PRESETS = {
    "quick": Options(
        run=Run(steps=1000, batch_size=16, evaluate_every=100),
        hidden=192,
        layers=1,
        dropout=0.3,
        sequence_length=32,
        learning_rate=1e-2,
    ),
    "small": Options(
        Data(dataset="tiny_shakespeare"),
        Run(steps=2000, batch_size=64, evaluate_every=250),
        hidden=512,
        layers=1,
        dropout=0.1,
        sequence_length=64,
        learning_rate=3e-3,
    ),
    "paper": Options(
        Data(dataset="tiny_shakespeare"),
        Run(steps=20_000, batch_size=50, evaluate_every=400),
        hidden=512,
        dropout=0.5,
        optimizer="rmsprop",
    ),
}


def char_rnn(options: Options) -> Experiment:
    """Return the experiment: a recurrent model of a text."""
    check_positive(sequence_length=options.sequence_length, learning_rate=options.learning_rate)
    source = options.data.load()
    vocabulary, length = source.vocabulary, options.sequence_length
    encode(options.prompt, vocabulary)  # a prompt with unknown characters is refused before training
    train, validation, test = (encode(part, vocabulary) for part in (source.train, source.validation, source.test))
    model_with = functools.partial(make_model, options, vocabulary, optimizer=make_optimizer(options, len(train)))
    writer = make_writer(vocabulary, model_with)
    return Experiment(
        model=model_with(temperature=options.temperature, length=WRITTEN),
        data=stream_dataset(source.name, "characters", train, validation, test, source.sha256),
        figures=make_figures(options, writer),
        select=Select("nats_per_character", "min"),
        feed=lambda seeds, batch_size: stream_feed(train, seeds, batch_size, length=length),
        facts={"vocabulary": len(vocabulary)},
        capabilities=(writer,),
    )


def make_model(
    options: Options, vocabulary: str, *, temperature: float, length: int, optimizer: optax.GradientTransformation
) -> Model:
    """Return the model, which draws texts of `length` characters at the given `temperature`."""
    return char_rnn_model.char_rnn(
        len(vocabulary),
        hidden=options.hidden,
        layers=options.layers,
        dropout=options.dropout,
        temperature=temperature,
        length=length,
        optimizer=optimizer,
    )


def make_writer(vocabulary: str, model_with: Callable[..., Model]) -> Writer:
    """Return the capability to continue a prompt by `length` characters, drawn at a given `temperature`."""

    def write(params: Params, prompt: str, temperature: float, length: int, key: Key) -> str:
        batch = {"prompt": np.asarray(encode(prompt, vocabulary))[None]}
        generate = jax.jit(model_with(temperature=temperature, length=length).generate)
        return decode(np.asarray(generate(params, {}, batch, key))[0], vocabulary)

    return Writer(write)


def make_figures(options: Options, writer: Writer) -> Figures:
    """Return the function that draws a sample of text beginning with the prompt."""

    def figures(params: Params, stats: Stats, key: Key) -> dict[str, str]:
        del stats
        return {"samples": options.prompt + writer.write(params, options.prompt, options.temperature, WRITTEN, key)}

    return figures


def make_optimizer(options: Options, characters: int) -> optax.GradientTransformation:
    """Return the optimizer for a text with this number of training characters."""
    if options.optimizer == "adam":
        return adam(options.learning_rate, options.run.steps)
    steps_per_pass = characters // (options.run.batch_size * options.sequence_length)
    return rmsprop(options.learning_rate, steps_per_pass, options.sequence_length)


def adam(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """Return Adam with a cosine decay to 1 % of the step size; the norm of the gradient is clipped at 1."""
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(learning_rate, steps, alpha=0.01))
    )


def rmsprop(learning_rate: float, steps_per_pass: int, sequence_length: int) -> optax.GradientTransformation:
    """Return Karpathy's optimizer: RMSProp with decay 0.95; its step size falls by 3 % per pass from the 10th on.

    Each element of the gradient is clipped. His code clips the gradient of a sum over the sequence to [-5, 5]; here the
    limit is divided by the sequence length, since the loss is a mean.
    """
    schedule = optax.exponential_decay(
        learning_rate, steps_per_pass, 0.97, transition_begin=9 * steps_per_pass, staircase=True
    )
    return optax.chain(optax.clip(5 / sequence_length), optax.rmsprop(schedule, decay=0.95))


FOUR_GRAMS = "interpolated Witten-Bell 4-grams"
REFERENCES = (
    Reference("nats_per_character", "tiny_shakespeare", "characters", 1.767, FOUR_GRAMS),
    Reference("nats_per_character", "tiny_shakespeare", "characters", 1.669, f"{FOUR_GRAMS}, last 10 % of the text"),
    Reference("nats_per_character", "descriptions", "characters", 1.948, FOUR_GRAMS),
)

HEADLINE = "nats_per_character"

if __name__ == "__main__":
    main(char_rnn, PRESETS)
