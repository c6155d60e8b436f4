"""PixelRNN: Row LSTM and Diagonal BiLSTM (van den Oord, Kalchbrenner & Kavukcuoglu 2016).

The likelihood of an image is a product of conditionals, row by row, pixel by pixel, channel by channel (equations 1
and 2):

    p(x) = prod_i p(x_i | x_<i),   p(x_i | x_<i) = p(R | x_<i) p(G | x_<i, R) p(B | x_<i, R, G)

The parameters of each conditional are computed from the output of recurrent layers: LSTMs with a state at each pixel
(equation 3), where K_ss and K_is are convolutions:

    [o, f, i, g] = act(K_ss * h_before + K_is * x),   c = f c_before + i g,   h = o tanh(c)

With --layer row the LSTM goes from row to row: K_ss reads three pixels of the row above. A pixel sees a triangle above
it, and misses the earlier pixels outside of it; on small images only pixels near the sides miss any. With --layer
diagonal it goes from diagonal to diagonal, W + H - 1 in all: K_ss reads the pixels above and to the left. A second LSTM
runs from the right and is shifted one row down, so that each pixel sees all earlier ones. The figure receptive_field
shows which pixels are seen.

The layers are in genjax/networks/pixel_recurrent.py, and the network is `PixelRNN` in
genjax/models/autoregressive/pixel_rnn.py. `fill` in the same file draws images: each layer keeps its states, so that a
pixel costs one update of each layer and not a pass over the complete image.

    python -m experiments.pixel_rnn                                           the embedded digits
    python -m experiments.pixel_rnn --preset small --data-dir DIR             static binarized MNIST, one layer
    python -m experiments.pixel_rnn --preset small --layer row --layers 3 --data-dir DIR
    python -m experiments.pixel_rnn --preset paper --data-dir DIR             Diagonal BiLSTM, seven layers
    python -m experiments.pixel_rnn --preset small --dataset cifar10_jpeg --binarization none --levels 8 --shrink 2
        --features 18 --steps 10000 --data-dir DIR                            CIFAR-10 at 16x16, 8 levels

Data: binary pixels by default. Grey and colour images need --levels K --binarization none, and --shrink if they are
large. The TFDS set cifar10_jpeg is CIFAR-10 as JPEG files, so its numbers cannot be compared with those of any paper;
tables of counts (experiments.tabular) are the baselines.

Metrics: nll_nats is -log p(x) per image, exact, and bits_per_dim is the same in bits per pixel and channel.

Differences from the paper: Adam with a cosine decay and the gradient's norm clipped at 1, instead of RMSProp with a
constant step size (--optimizer rmsprop takes RMSProp, with the decay and the clipping). The states above and to the
left of the image are learned, one vector for all positions. The parameters with the best validation likelihood are
kept. The paper does not give the numbers of layers and units of its Row LSTM for MNIST: `paper` uses those of the
Diagonal BiLSTM.

Known failures: training goes through all rows or diagonals one after another, so that small batches hardly make use of
an accelerator. A completion knows a prefix of the raster order only.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optax

from experiments.tabular import COLOUR
from genjax.core import Model
from genjax.data.dataset import Dataset
from genjax.data.levels import with_levels
from genjax.data.load import mean_image
from genjax.models.autoregressive import pixel_rnn as pixel_rnn_model
from genjax.models.autoregressive.pixels import Output, bernoulli, categorical
from genjax.pictures.figures import (
    Figures,
    Picture,
    first_test_images,
    receptive_field,
    samples_and_completions,
    seen_by_the_centre,
)
from genjax.runs.experiment import Experiment, Reference, Select
from genjax.runs.options import Data, Run, check_positive
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats


@dataclass(frozen=True)
class Options:
    """Options of a Row LSTM or a Diagonal BiLSTM."""

    data: Data = Data()
    run: Run = Run()
    layer: pixel_rnn_model.Layer = "diagonal"
    """Recurrent layers: Row LSTM, or Diagonal BiLSTM."""
    features: int = 16
    """Number h of units of each LSTM, a multiple of the image's channels; the layers have 2 h features as input and
    output."""
    layers: int = 7
    """Number of recurrent layers, each with a residual connection."""
    head_features: int | None = None
    """Number of features between the last two convolutions; by default 2 h."""
    levels: int = 2
    """Number of values of each pixel and channel; above 2 for grey and colour images, with --binarization none."""
    shrink: int = 1
    """Shrink the images by this factor: each block of shrink x shrink pixels becomes its mean."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """Optimizer: Adam, or RMSProp as in the paper."""
    learning_rate: float = 3e-3
    """Initial step size of the optimizer."""
    final_learning_rate: float = 1e-4
    """Step size of the optimizer at the end of its cosine decay."""


PRESETS = {
    "quick": Options(
        Data(binarization="threshold"),
        Run(steps=600, batch_size=32, evaluate_every=100),
        layers=1,
        learning_rate=5e-3,
    ),
    "small": Options(
        Data(dataset="binarized_mnist"),
        Run(batch_size=16, steps=25_000, evaluate_every=2500),
        layers=1,
    ),
    "paper": Options(
        Data(dataset="binarized_mnist"),
        Run(batch_size=16, steps=400_000, evaluate_every=5000),
        learning_rate=1e-3,
    ),
}


def pixel_rnn(options: Options) -> Experiment:
    """Return the experiment: PixelRNN on images."""
    check_positive(learning_rate=options.learning_rate, final_learning_rate=options.final_learning_rate)
    data = with_levels(options.data.load(shrink=options.shrink), options.levels)
    output = bernoulli() if options.levels == 2 else categorical(options.levels)
    mean, sizes = mean_image(data), sizes_of(options)
    model = pixel_rnn_model.pixel_rnn(data.image_shape, output=output, mean=mean, optimizer=optimizer(options), **sizes)
    network = pixel_rnn_model.make_network(data.image_shape[2], output, **sizes)
    return Experiment(
        model=model,
        data=data,
        figures=make_figures(model, network, output, data, mean),
        select=Select("nll_nats", "min"),
    )


def sizes_of(options: Options) -> dict[str, Any]:
    """Return the arguments that the model and its network share."""
    return {
        "layer": options.layer,
        "features": options.features,
        "layers": options.layers,
        "head_features": options.head_features,
    }


def optimizer(options: Options) -> optax.GradientTransformation:
    """Return Adam or RMSProp with a cosine decay of its step size; the norm of the gradient is clipped at 1."""
    decay = options.final_learning_rate / options.learning_rate
    rate = optax.cosine_decay_schedule(options.learning_rate, options.run.steps, decay)
    descent = {"adam": optax.adam, "rmsprop": optax.rmsprop}[options.optimizer](rate)
    return optax.chain(optax.clip_by_global_norm(1.0), descent)


def make_figures(
    model: Model, network: pixel_rnn_model.PixelRNN, output: Output, data: Dataset, mean: np.ndarray
) -> Figures:
    """Return the figures: samples, completions of test images, and the receptive field of the central pixel."""
    samples = samples_and_completions(model, data, np.arange(int(np.prod(data.image_shape))))

    def figures(params: Params, stats: Stats, key: Key) -> Mapping[str, Picture]:
        image = first_test_images(data, 32)
        conditionals = functools.partial(pixel_rnn_model.conditionals, network, params, mean)
        seen = seen_by_the_centre(lambda x: output.log_prob(conditionals(x), image), image)
        return {**samples(params, stats, key), "receptive_field": receptive_field(seen)}

    return figures


def published(value: float, source: str, **options: str | int) -> Reference:
    """Return a published test NLL in nats on static binarized MNIST."""
    return Reference("nll_nats", "binarized_mnist", "static", value, source, options)


PAPER = "(van den Oord et al. 2016, table 4)"

REFERENCES = (
    published(79.20, f"Diagonal BiLSTM, 7 layers, h=16 {PAPER}", layer="diagonal"),
    published(80.75, f"Diagonal BiLSTM, 1 layer, h=32 {PAPER}", layer="diagonal", layers=1),
    published(80.54, f"Row LSTM {PAPER}", layer="row"),
    published(88.33, "NADE, fixed order, H=500 (Uria, Murray & Larochelle 2014)"),
    *COLOUR,
)

HEADLINE = "nll_nats"

if __name__ == "__main__":
    main(pixel_rnn, PRESETS)
