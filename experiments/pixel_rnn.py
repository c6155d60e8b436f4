"""PixelRNN: Row LSTM and Diagonal BiLSTM (van den Oord, Kalchbrenner & Kavukcuoglu 2016).

An image comes row by row, pixel by pixel, channel by channel (equations 1 and 2):

    p(x) = prod_i p(x_i | x_<i),   p(x_i | x_<i) = p(R | x_<i) p(G | x_<i, R) p(B | x_<i, R, G)

Each conditional is read off a map that recurrent layers have made, LSTMs whose state is a map too (equation 3):

    [o, f, i, g] = act(K_ss * h_before + K_is * x),   c = f c_before + i g,   h = o tanh(c)

--layer row takes a row at a time: K_ss reads three pixels of the row above. A pixel sees a triangle above it and misses
the rest (on the digits, a pixel at the side misses some; the one in the middle, none). --layer diagonal takes a
diagonal at a time, W + H - 1 in all: K_ss reads the pixels above and to the left. A second stream comes from the right,
one row lower, so that a pixel sees all that is before it. The figure receptive_field shows which pixels are seen.

The layers are in genjax/networks/pixel_recurrent.py, the network is `PixelRNN` in
genjax/models/autoregressive/pixel_rnn.py. `fill` there draws images: each layer keeps its states, so that a pixel
costs one update per layer and not a pass over the image.

Test NLL in nats on static binarized MNIST; target: below 88.33 (NADE), and the numbers of the paper's table 4:

    Diagonal BiLSTM, 7 layers, h=16    79.20
    Diagonal BiLSTM, 1 layer, h=32     80.75
    Row LSTM                           80.54

    --preset small                            Diagonal BiLSTM, 1 layer, h=16    84.30, 42 min on one CPU core
    --preset small --layer row --layers 3     Row LSTM, 3 layers, h=16          83.31, 41 min on one CPU core
    --preset paper                            Diagonal BiLSTM, 7 layers, h=16   not measured yet

Colour, on CIFAR-10 as JPEG, 16x16 and 8 levels (--dataset cifar10_jpeg --binarization none --levels 8 --shrink 2
--features 18 --steps 10000), in bits/dim that compare with no paper's: 0.919, 7 min on one CPU core. A histogram of
each pixel and channel has 2.754, tables of the one value before 1.825, of the three before 1.371 (experiments.tabular).

Where we leave the paper: Adam with a cosine decay and the gradient's norm clipped at 1, in place of RMSProp with a
constant step size (--optimizer rmsprop takes it, with the decay). The states above and left of the image are learned,
one vector for all places. The parameters with the best validation likelihood are kept. Of the paper's Row LSTM for
MNIST neither layers nor h are known to us: `paper` uses those of the Diagonal BiLSTM.

Grey and colour images take --levels K --binarization none, and --shrink where they are large.

Known failures: training goes through all rows or diagonals one after another, so that small batches hardly make use of
an accelerator. A completion knows a prefix of the raster order only.
"""

import functools
from collections.abc import Mapping
from typing import Literal

import numpy as np
import optax

from experiments.tabular import COLOUR
from genjax.data.levels import with_levels
from genjax.data.load import load_dataset, mean_image
from genjax.models.autoregressive import pixel_rnn as pixel_rnn_model
from genjax.models.autoregressive.pixels import bernoulli, categorical
from genjax.pictures.figures import Picture, receptive_field, samples_and_completions, seen_by_the_centre, test_images
from genjax.runs.experiment import Common, Experiment, Precision, Reference, Run, Select, check_positive, compute_dtype
from genjax.runs.runner import main
from genjax.types import Key, Params, Stats


def pixel_rnn(
    run: Common = Run(),  # noqa: B008 (frozen)
    *,
    layer: pixel_rnn_model.Layer = "diagonal",
    features: int = 16,
    layers: int = 7,
    head_features: int | None = None,
    levels: int = 2,
    shrink: int = 1,
    precision: Precision = "float32",
    optimizer: Literal["adam", "rmsprop"] = "adam",
    learning_rate: float = 3e-3,
    final_learning_rate: float = 1e-4,
) -> Experiment:
    """A Row LSTM or a Diagonal BiLSTM.

    Args:
        run: Data, seeds and steps.
        layer: Row LSTM, or Diagonal BiLSTM.
        features: Units h of each LSTM; the maps between the layers have 2 h. A multiple of the channels.
        layers: Recurrent layers, each with a residual connection.
        head_features: Of the map between the last two convolutions; 2 h where none is given.
        levels: Values of a pixel; above 2 for grey and colour images, with --binarization none.
        shrink: Side of the blocks of pixels of which one is made, their mean.
        precision: Of the computation; parameters are float32.
        optimizer: Adam, or RMSProp as in the paper.
        learning_rate: Its step size at the start.
        final_learning_rate: Its step size at the end of a cosine decay.
    """
    check_positive(learning_rate=learning_rate, final_learning_rate=final_learning_rate)
    binary_or_grey = load_dataset(run.dataset, data_dir=run.data_dir, binarization=run.binarization, shrink=shrink)
    data = with_levels(binary_or_grey, levels)
    output, mean = bernoulli() if levels == 2 else categorical(levels), mean_image(data)
    sizes = {
        "layer": layer,
        "features": features,
        "layers": layers,
        "head_features": head_features,
        "dtype": compute_dtype(precision),
    }
    rate = optax.cosine_decay_schedule(learning_rate, run.steps, final_learning_rate / learning_rate)
    descent = {"adam": optax.adam, "rmsprop": optax.rmsprop}[optimizer](rate)
    model = pixel_rnn_model.pixel_rnn(
        data.image_shape,
        output=output,
        mean=mean,
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), descent),
        **sizes,
    )
    network = pixel_rnn_model.make_network(data.image_shape[2], output, **sizes)
    order = np.arange(int(np.prod(data.image_shape)))
    samples = samples_and_completions(model, data, order)

    def figures(params: Params, stats: Stats, key: Key) -> Mapping[str, Picture]:
        image = test_images(data, 32)
        conditionals = functools.partial(pixel_rnn_model.conditionals, network, params, mean)
        seen = seen_by_the_centre(lambda x: output.log_prob(conditionals(x), image), image)
        return {**samples(params, stats, key), "receptive_field": receptive_field(seen)}

    return Experiment(
        model=model,
        data=data,
        kinds={"nll_nats": "exact", "bits_per_dim": "exact"},
        figures=figures,
        select=Select("nll_nats", "min"),
        seeds_together=False,
    )


PRESETS = {
    "quick": {
        "run": Run(steps=600, batch_size=32, binarization="threshold", evaluate_every=100),
        "layers": 1,
        "learning_rate": 5e-3,
    },
    "small": {
        "run": Run(dataset="binarized_mnist", batch_size=16, steps=25_000, evaluate_every=2500),
        "layers": 1,
    },
    "paper": {
        "run": Run(dataset="binarized_mnist", batch_size=16, steps=400_000, evaluate_every=5000),
        "learning_rate": 1e-3,
    },
}


def published(value: float, source: str, **options: str | int) -> Reference:
    """A number on static binarized MNIST."""
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
