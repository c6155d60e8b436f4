"""Tabular models: how far counting goes, from independent pixels to a neighbourhood of ten.

    p(x) = prod_i p(x_i | context of x_i),   p(v | context) = (c_v + a) / (c + m a)

with c_v how often the training images show value v of m after that context, c = sum_v c_v, and smoothing a. For n
binary pixels the number of parameters says what a context costs (genjax/models/autoregressive/tabular.py,
*_parameters):

    independent  n                        ar    the last k pixels: 2^k - 1 + (n - k) 2^k
    markov       2 n - 1                  full  all earlier pixels: 2^n - 1 (up to 25 pixels)
    2d           the k nearest of twelve causal neighbours, at most n 2^k; 2d-tied: 2^k, one table for all pixels

Training counts every image once (`tabular`, phase "count"); it ends after one pass, whatever --steps says. By default
a is the one of 0.01, 0.1, 0.5 and 1 with the best validation likelihood. Sampling goes pixel by pixel (`sample`).

Test NLL in nats on static binarized MNIST, 50000 training images; target: the same count in NumPy.

    contexts     k   parameters   target    ours
    independent  -          784  205.792  205.792
    markov       -        1 567  145.350  145.350
    ar           5       24 959  139.550  139.550
    ar           9      397 311  138.252  138.252
    2d          10      666 419   97.243   97.243

Time: about 20 s on two CPU cores, most of it decoding the images, which the results' time leaves out; counting and
measuring take 3 s.

Command: python -m experiments.tabular --preset small (2d, k=10) or --preset paper (ar, k=9: the best k on the
validation split).

Known failures: more context overfits (ar: 138.909 test at k=12, where the training NLL still falls). Tables know no
strokes: samples have the texture of digits, not their shape.
"""

import math
from typing import Literal

import jax

from genjax.data.dataset import Dataset
from genjax.data.feed import make_feed
from genjax.data.levels import with_levels
from genjax.data.load import load_dataset
from genjax.evaluation import evaluate_split, make_evaluate_seeds, means
from genjax.models.autoregressive.tabular import OFFSETS, Contexts, ar_contexts, free_parameters, offset_contexts
from genjax.models.autoregressive.tabular import tabular as tabular_model
from genjax.pictures.figures import samples_and_completions
from genjax.runs.experiment import Common, Experiment, Reference, Run
from genjax.runs.runner import main
from genjax.shuffle import permutation
from genjax.training import init_seeds, iterate
from genjax.types import Batch, Key, Metrics, Params, Stats

ContextKind = Literal["independent", "markov", "ar", "full", "2d", "2d-tied"]
Ordering = Literal["raster", "random"]

SMOOTHINGS = (0.01, 0.1, 0.5, 1.0)
BATCH = 100
MOST_FULL = 25
"""Pixels of which all contexts can be counted."""


def tabular(
    run: Common = Run(),  # noqa: B008 (frozen)
    *,
    contexts: ContextKind = "ar",
    k: int = 9,
    ordering: Ordering = "raster",
    levels: int = 2,
    shrink: int = 1,
    smoothing: float | None = None,
) -> Experiment:
    """Counted conditional probabilities of each pixel given some earlier ones.

    Args:
        run: Data, seeds and steps.
        contexts: Earlier pixels that a pixel depends on: none, the last one, the last k, all (up to 25 pixels), or k
            neighbours in two dimensions, with a table for each pixel or one for all (tied).
        k: Pixels in the context of ar, 2d and 2d-tied (2d: at most 12).
        ordering: Row by row, or one random order; 2d knows only the first.
        levels: Values of a pixel and channel; above 2 for grey and colour images, with --binarization none.
        shrink: Side of the blocks of pixels of which the data make one, their mean.
        smoothing: Added to each count. By default picked on the validation split.
    """
    loaded = load_dataset(run.dataset, data_dir=run.data_dir, binarization=run.binarization, shrink=shrink)
    data = with_levels(loaded, levels)
    tables = make_contexts(contexts, data.image_shape, k=k, ordering=ordering, levels=levels)
    chosen = pick_smoothing(tables, data) if smoothing is None else smoothing
    model = tabular_model(tables, examples=data.train.size, smoothing=chosen)
    return Experiment(
        model=model,
        data=data,
        kinds={"nll_nats": "exact", "bits_per_dim": "exact"},
        figures=samples_and_completions(model, data, tables.order),
        max_steps=math.ceil(data.train.size / run.batch_size),
        facts={"parameters": free_parameters(tables), "smoothing": chosen},
    )


def make_contexts(
    kind: ContextKind, shape: tuple[int, int, int], *, k: int, ordering: Ordering, levels: int
) -> Contexts:
    """The contexts called `kind` for images of this shape."""
    pixels = math.prod(shape)
    if kind in ("2d", "2d-tied"):
        if ordering != "raster" or shape[2] != 1 or not 0 <= k <= len(OFFSETS):
            raise ValueError(
                f"contexts={kind!r} needs ordering='raster', one channel and k from 0 to {len(OFFSETS)}; got "
                f"{ordering!r}, {shape[2]} and {k}"
            )
        return offset_contexts(shape[0], shape[1], OFFSETS[:k], levels=levels, tied=kind == "2d-tied")
    if kind == "full" and pixels > MOST_FULL:
        raise ValueError(f"--contexts full has 2^{pixels} contexts for {pixels} pixels: up to {MOST_FULL} pixels only")
    order = permutation(pixels) if ordering == "random" else None
    size = {"independent": 0, "markov": 1, "full": pixels - 1}.get(kind, k)
    return ar_contexts(pixels, size, levels=levels, ordering=order)


def pick_smoothing(contexts: Contexts, data: Dataset) -> float:
    """The candidate with the smallest mean NLL on the validation split, after one pass over the training split."""
    models = {str(a): tabular_model(contexts, examples=data.train.size, smoothing=a) for a in SMOOTHINGS}
    counter = models[str(SMOOTHINGS[0])]
    feed = make_feed(data.train, data.load, (0,), min(BATCH, data.train.size))
    steps = math.ceil(data.train.size / min(BATCH, data.train.size))
    *_, (_, counted, _) = iterate(counter, feed, init_seeds(counter, feed, (0,)), steps)

    def evaluate(params: Params, stats: Stats, batch: Batch, key: Key) -> Metrics:
        return {a: model.evaluate(params, stats, batch, key)["nll_nats"] for a, model in models.items()}

    evaluate_seeds = make_evaluate_seeds(evaluate, data.load)
    batch_size, key = min(BATCH, data.validation.size), jax.random.key(0)
    nll = means(
        evaluate_split(evaluate_seeds, counted.params, counted.stats, data.validation, key=key, batch_size=batch_size)
    )
    return min(SMOOTHINGS, key=lambda a: nll[str(a)].item())


MNIST = Run(dataset="binarized_mnist", steps=500)

PRESETS = {
    "quick": {"run": Run(steps=13), "contexts": "2d", "k": 4},
    "small": {"run": MNIST, "contexts": "2d", "k": 10},
    "paper": {"run": MNIST, "contexts": "ar", "k": 9},
}

COUNTED = "the same tables counted in NumPy"


def counted(value: float, **options: str | int) -> Reference:
    """A row of the table above."""
    return Reference("nll_nats", "binarized_mnist", "static", value, COUNTED, options)


REFERENCES = (
    counted(205.792, contexts="independent"),
    counted(145.350, contexts="markov"),
    counted(139.550, contexts="ar", k=5),
    counted(138.252, contexts="ar", k=9),
    counted(97.243, contexts="2d", k=10),
)


def colour(value: float, tables: str) -> Reference:
    """What models of CIFAR-10 as JPEG at 16x16 and 8 levels stand beside; such data compare with no paper's."""
    source = f"{tables} (this library, exact; data compare with no paper's)"
    return Reference("nll_nats", "cifar10_jpeg-16x16", "levels-8", value, source)


COLOUR = (
    colour(1466.256, "a histogram of each pixel and channel"),
    colour(971.650, "tables of the one value before"),
)

HEADLINE = "nll_nats"

if __name__ == "__main__":
    main(tabular, PRESETS)
