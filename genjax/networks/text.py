"""Captions to vectors."""

from flax import linen as nn
from jaxtyping import Array, Float, Int

from genjax.networks.recurrent import GRU


class TextEncoder(nn.Module):
    """A vector for each caption, linear in the last state of a GRU that reads its words."""

    words: int
    """Word numbers are below it; 0 is no word."""
    features: int
    embedding: int = 64
    hidden: int = 128

    @nn.compact
    def __call__(self, caption: Int[Array, "batch T"], train: bool = False) -> Float[Array, "batch features"]:
        """The vectors, in training as otherwise."""
        words = nn.Embed(self.words, self.embedding, name="words")(caption)
        state = GRU(self.hidden, name="gru")(words, caption > 0)
        return nn.Dense(self.features, name="features")(state)
