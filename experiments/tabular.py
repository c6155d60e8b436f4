"""Tabular models: counted conditional probabilities, from independent pixels to contexts of ten neighbours.

    p(x) = prod_i p(x_i | context of x_i),   p(v | context) = (c_v + a) / (c + m a)

Here c_v counts how often the training images have value v, one of m, after that context, c = sum_v c_v, and a is the
smoothing. The numbers of parameters for n binary pixels are (functions *_parameters in
genjax/models/autoregressive/tabular.py):

    independent    no context:                    n
    markov         the last pixel:                2 n - 1
    ar             the last k pixels:             2^k - 1 + (n - k) 2^k
    full           all earlier pixels:            2^n - 1, for images of up to 25 pixels
    2d             the k nearest of twelve earlier neighbours: at most n 2^k
    2d-tied        the same neighbours, one table for all pixels: 2^k

Training counts every image once (`tabular` in the same file, phase "count"); it ends after one pass, whatever --steps
says. By default the smoothing is the candidate among 0.01, 0.1, 0.5 and 1 with the best validation likelihood. Sampling
goes pixel by pixel (`sample` in the same file).

    python -m experiments.tabular                                 the embedded digits, four neighbours
    python -m experiments.tabular --preset small --data-dir DIR   static binarized MNIST, ten neighbours
    python -m experiments.tabular --preset paper --data-dir DIR   the last nine pixels, the k that is best on validation

Metrics: nll_nats is -log p(x) per image, exact, and bits_per_dim is the same in bits per pixel. The tests compare the
results with counts in NumPy.

Known failures: more context overfits: with long contexts (ar) the test NLL rises while the training NLL still falls.
Tables know nothing of strokes: samples have the texture of digits, not their shape.
"""

import math
from dataclasses import dataclass
from typing import Literal

import jax

from genjax.data.dataset import Dataset
from genjax.data.feed import make_feed
from genjax.data.levels import with_levels
from genjax.evaluation import evaluate_split, make_evaluate_seeds, means
from genjax.models.autoregressive.tabular import OFFSETS, Contexts, ar_contexts, free_parameters, offset_contexts
from genjax.models.autoregressive.tabular import tabular as tabular_model
from genjax.pictures.figures import samples_and_completions
from genjax.runs.experiment import Experiment, Reference
from genjax.runs.options import Data, Run
from genjax.runs.runner import main
from genjax.shuffle import permutation
from genjax.training import init_seeds, iterate
from genjax.types import Batch, Key, Metrics, Params, Stats

ContextKind = Literal["independent", "markov", "ar", "full", "2d", "2d-tied"]
Ordering = Literal["raster", "random"]

SMOOTHINGS = (0.01, 0.1, 0.5, 1.0)
"""Candidates for the smoothing, of which one is chosen on the validation split."""

BATCH = 100
"""Number of images per step while the smoothing is chosen."""

MOST_FULL = 25
"""Largest number of pixels of an image for which all contexts (`full`) can be counted."""


@dataclass(frozen=True)
class Options:
    """Options of tabular models: counted conditional probabilities of each pixel given some earlier pixels."""

    data: Data = Data()
    run: Run = Run()
    contexts: ContextKind = "ar"
    """Earlier pixels that a pixel depends on: none, the last one, the last k, all (up to 25 pixels), or k neighbours in
    two dimensions, with a table for each pixel (2d) or one table for all (2d-tied)."""
    k: int = 9
    """Number of pixels in the context of ar, 2d and 2d-tied (2d: at most 12)."""
    ordering: Ordering = "raster"
    """Order of the pixels: row by row, or one fixed random permutation (not with 2d and 2d-tied)."""
    levels: int = 2
    """Number of values of each pixel and channel; above 2 for grey and colour images, with --binarization none."""
    shrink: int = 1
    """Shrink the images by this factor: each block of shrink x shrink pixels becomes its mean."""
    smoothing: float | None = None
    """Number added to each count; by default chosen on the validation split."""


PRESETS = {
    "quick": Options(run=Run(steps=13), contexts="2d", k=4),
    "small": Options(Data(dataset="binarized_mnist"), Run(steps=500), contexts="2d", k=10),
    "paper": Options(Data(dataset="binarized_mnist"), Run(steps=500), contexts="ar", k=9),
}


def tabular(options: Options) -> Experiment:
    """Return the experiment: tables of counts on images."""
    data = with_levels(options.data.load(shrink=options.shrink), options.levels)
    tables = make_contexts(
        options.contexts, data.image_shape, k=options.k, ordering=options.ordering, levels=options.levels
    )
    smoothing = pick_smoothing(tables, data) if options.smoothing is None else options.smoothing
    model = tabular_model(tables, examples=data.train.size, smoothing=smoothing)
    return Experiment(
        model=model,
        data=data,
        figures=samples_and_completions(model, data, tables.order),
        max_steps=math.ceil(data.train.size / options.run.batch_size),
        facts={"parameters": free_parameters(tables), "smoothing": smoothing},
    )


def make_contexts(
    kind: ContextKind, shape: tuple[int, int, int], *, k: int, ordering: Ordering, levels: int
) -> Contexts:
    """Return the contexts called `kind` for images of this shape; ValueError if the images do not allow them."""
    pixels = math.prod(shape)
    if kind in ("2d", "2d-tied"):
        if ordering != "raster" or shape[2] != 1 or not 0 <= k <= len(OFFSETS):
            raise ValueError(
                f"--contexts {kind} needs --ordering raster, one channel and --k from 0 to {len(OFFSETS)}; got "
                f"{ordering}, {shape[2]} and {k}"
            )
        return offset_contexts(shape[0], shape[1], OFFSETS[:k], levels=levels, tied=kind == "2d-tied")
    if kind == "full" and pixels > MOST_FULL:
        raise ValueError(f"--contexts full has 2^{pixels} contexts for {pixels} pixels: up to {MOST_FULL} pixels only")
    order = permutation(pixels) if ordering == "random" else None
    size = {"independent": 0, "markov": 1, "full": pixels - 1}.get(kind, k)
    return ar_contexts(pixels, size, levels=levels, ordering=order)


def pick_smoothing(contexts: Contexts, data: Dataset) -> float:
    """Return the candidate with the smallest mean NLL on the validation split, counting the training split once."""
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


COUNTED = "the same tables counted in NumPy"


def counted(value: float, **options: str | int) -> Reference:
    """Return the test NLL of tables with these options on static binarized MNIST, counted in NumPy, as a reference."""
    return Reference("nll_nats", "binarized_mnist", "static", value, COUNTED, options)


REFERENCES = (
    counted(205.792, contexts="independent"),
    counted(145.350, contexts="markov"),
    counted(139.550, contexts="ar", k=5),
    counted(138.252, contexts="ar", k=9),
    counted(97.243, contexts="2d", k=10),
)


def colour(value: float, tables: str) -> Reference:
    """Return a reference for models of CIFAR-10 as JPEG (16x16, 8 levels), data for which no paper has numbers."""
    source = f"{tables} (this library, exact; data compare with no paper's)"
    return Reference("nll_nats", "cifar10_jpeg-16x16", "levels-8", value, source)


COLOUR = (
    colour(1466.256, "a histogram of each pixel and channel"),
    colour(971.650, "tables of the one value before"),
)

HEADLINE = "nll_nats"

if __name__ == "__main__":
    main(tabular, PRESETS)
