"""Models that draw whole images."""

from genjax.types import Batch


def refuse_known(batch: Batch) -> None:
    """Raise ValueError where the batch asks for completions, since p(unknown | known) is not at hand."""
    if "known" in batch:
        raise ValueError("known: this model draws whole images; an autoregressive one completes them, such as EoNADE")
