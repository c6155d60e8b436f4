"""Experiment: a model, its data and what to measure; a function of the options returns one, the runner trains it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

from genjax.core import Kind, Model
from genjax.data.dataset import Dataset
from genjax.data.feed import Feed, make_feed
from genjax.evaluation import Measure
from genjax.pictures.figures import Figures
from genjax.types import Evaluate

T = TypeVar("T")


class Reference(NamedTuple):
    """A number that was published, or measured by other means, and stands beside ours in the table of results."""

    metric: str
    dataset: str
    protocol: str
    value: float
    source: str
    """Who reports it, and for which model."""
    options: Mapping[str, str | int | float] = {}
    """Options of the runs that it stands beside, by name; it stands beside all runs if there are none."""


class Baseline(NamedTuple):
    """A number that a run measures of something else than its samples, to stand beside one of its metrics."""

    metric: str
    measured_as: str
    """Name of the baseline among the metrics of the run."""
    description: str
    """What it was measured of, such as "training images in place of samples"."""


class Select(NamedTuple):
    """Rule for the parameters a run ends with: those with the best mean of a metric of the validation split."""

    metric: str
    best: Literal["min", "max"]


class Experiment(NamedTuple):
    """A model, its data, and what to measure and to draw."""

    model: Model
    data: Dataset
    figures: Figures
    """Function that draws pictures of one trained seed at the end of a run."""
    measure: Measure | None = None
    """Metrics of a whole split that are no mean over examples: active units, distances between sets, probes."""
    kinds: Mapping[str, Kind] = {}
    """Kind of each metric of `measure`; the other ones are estimates."""
    validate: Evaluate | None = None
    """Metrics of the validation split during training; by default those of `model.evaluate`."""
    select: Select | None = None
    """Rule for the parameters to keep; by default those of the last step."""
    seeds_together: bool = True
    """Whether training several seeds in one program pays on a CPU (it does not for convolutions and NADE)."""
    feed: Callable[[Sequence[int], int], Feed] | None = None
    """(seeds, batch size) -> training batches, or ValueError; by default the images in each seed's own order
    (`make_feed`)."""
    max_steps: int | None = None
    """Most steps that training can have, such as one pass over the data for tables."""
    facts: Mapping[str, int | float | str] = {}
    """Further entries of result.json, such as the closed form of the number of parameters."""
    shown: tuple[str, ...] = ()
    """Training metrics that the progress bar shows beside the losses, each as `phase/metric`."""
    capabilities: tuple[object, ...] = ()
    """Functions that a single command needs, found by their type (genjax/capabilities.py)."""

    def training_feed(self, seeds: Sequence[int], batch_size: int) -> Feed:
        """Return the training batches of these seeds."""
        if self.feed is not None:
            return self.feed(seeds, batch_size)
        return make_feed(self.data.train, self.data.load, seeds, batch_size)

    def capability(self, kind: type[T]) -> T | None:
        """Return the capability of this type, or None."""
        return next((one for one in self.capabilities if isinstance(one, kind)), None)

    def kind(self, metric: str) -> Kind:
        """Return the kind of a metric of `model.evaluate` or of `measure`."""
        return {**self.model.kinds, **self.kinds}.get(metric, "estimate")
