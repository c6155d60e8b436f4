"""What an experiment is: a function of its options that returns this value; training it is the runner's job."""

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
    """A published or measured number that ours stands beside in the table of results."""

    metric: str
    dataset: str
    protocol: str
    value: float
    source: str
    """Who reports it, of which model."""
    options: Mapping[str, str | int | float] = {}
    """The options of the runs that it is meant for; all where there are none."""


class Select(NamedTuple):
    """Which parameters a run ends with: those with the best mean of a validation metric."""

    metric: str
    best: Literal["min", "max"]


class Experiment(NamedTuple):
    """A model, its data, and what to measure and to draw."""

    model: Model
    data: Dataset
    figures: Figures
    """Pictures of one trained seed, drawn at the end of a run."""
    measure: Measure | None = None
    """Quantities of a whole split that are no mean over examples: active units, distances between sets, probes."""
    kinds: Mapping[str, Kind] = {}
    """Kind of each metric of `measure`; those that are not named are estimates."""
    validate: Evaluate | None = None
    """Evaluated on the validation split during training; by default `model.evaluate`."""
    select: Select | None = None
    """By default the parameters of the last step."""
    seeds_together: bool = True
    """Whether training several seeds in one program pays on a CPU (it does not for convolutions and NADE)."""
    feed: Callable[[Sequence[int], int], Feed] | None = None
    """(seeds, batch size) -> the training batches, or ValueError; by default each seed's own order of the images
    (`make_feed`)."""
    max_steps: int | None = None
    """Training ends here even where more steps were asked for."""
    facts: Mapping[str, int | float | str] = {}
    """Further entries of result.json, such as the closed form of the number of parameters."""
    draws: bool = True
    """Whether `model.generate` draws images, and does not transform those in the batch."""
    shown: tuple[str, ...] = ()
    """Training metrics that the progress bar has beside the losses, `phase/metric`."""
    capabilities: tuple[object, ...] = ()
    """What single commands ask for, found by type (genjax/capabilities.py)."""

    def training_feed(self, seeds: Sequence[int], batch_size: int) -> Feed:
        """The batches of these seeds."""
        if self.feed is not None:
            return self.feed(seeds, batch_size)
        return make_feed(self.data.train, self.data.load, seeds, batch_size)

    def capability(self, kind: type[T]) -> T | None:
        """The capability of this type, or None."""
        return next((one for one in self.capabilities if isinstance(one, kind)), None)

    def kind(self, metric: str) -> Kind:
        """Kind of a metric of `model.evaluate` or of `measure`."""
        return {**self.model.kinds, **self.kinds}.get(metric, "estimate")
