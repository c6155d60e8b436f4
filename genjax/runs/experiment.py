"""Experiment: a model, its data and its metrics, returned by a function of the options and trained by the runner."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

from genjax.capabilities import Feeder
from genjax.core import Kind, Model
from genjax.data.dataset import Dataset
from genjax.data.feed import Feed, make_feed
from genjax.evaluation import Measure
from genjax.pictures.figures import Figures
from genjax.types import Evaluate

T = TypeVar("T")


class Reference(NamedTuple):
    """Published or otherwise known number, to compare with a metric in the table of results."""

    metric: str
    dataset: str
    protocol: str
    value: float
    source: str
    """Publication that the value comes from, and the model that it is reported for."""
    options: Mapping[str, str | int | float] = {}
    """Options, by name, that a run must have to be compared with the number; with none, all runs are compared."""


class Baseline(NamedTuple):
    """Metric that a run computes on other data than its samples, to compare with one of its metrics."""

    metric: str
    measured_as: str
    """Name of the baseline among the metrics of the run."""
    description: str
    """Description of the measured data, such as "training images in place of samples"."""


class Select(NamedTuple):
    """Rule for the parameters to keep: those with the best mean of a metric on the validation split."""

    metric: str
    best: Literal["min", "max"]


class Experiment(NamedTuple):
    """Model, data, metrics and figures of an experiment."""

    model: Model
    data: Dataset
    figures: Figures
    """Function that draws pictures of one trained seed at the end of a run."""
    measure: Measure | None = None
    """Function that measures a complete split by metrics that are no means over examples, such as probes; or None."""
    kinds: Mapping[str, Kind] = {}
    """Kind of each metric of `measure`; metrics that are not named are estimates."""
    validate: Evaluate | None = None
    """Function that evaluates the validation split during training; by default `model.evaluate`."""
    select: Select | None = None
    """Rule for the parameters to keep; by default the parameters of the last step are kept."""
    feed: Callable[[Sequence[int], int], Feed] | None = None
    """Function of (seeds, batch size) that returns the training batches, or raises ValueError; by default the images in
    each seed's own order (`make_feed`)."""
    max_steps: int | None = None
    """Largest number of training steps, such as one pass over the data for tables; None for no limit."""
    facts: Mapping[str, int | float | str] = {}
    """Further entries of result.json, such as the number of parameters in closed form."""
    shown: tuple[str, ...] = ()
    """Training metrics that the progress bar shows in addition to the losses, each as `phase/metric`."""
    capabilities: tuple[object, ...] = ()
    """Objects with the functions that single commands need, in addition to those of the model, found by their type
    (genjax/capabilities.py)."""

    def training_feed(self, seeds: Sequence[int], batch_size: int) -> Feed:
        """Return the training batches of these seeds: by `feed`, by the model's own `Feeder`, or of all images."""
        if self.feed is not None:
            return self.feed(seeds, batch_size)
        if (feeder := self.capability(Feeder)) is not None:
            return feeder.feed(self.data, seeds, batch_size)
        return make_feed(self.data.train, self.data.load, seeds, batch_size)

    def capability(self, kind: type[T]) -> T | None:
        """Return the capability of this type, of the experiment or else of its model, or None."""
        every = (*self.capabilities, *self.model.capabilities)
        return next((one for one in every if isinstance(one, kind)), None)

    def kind(self, metric: str) -> Kind:
        """Return the kind of a metric of `model.evaluate` or of `measure`."""
        return {**self.model.kinds, **self.kinds}.get(metric, "estimate")
