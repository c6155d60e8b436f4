"""Encoder of captions."""

from flax import linen as nn
from jaxtyping import Array, Float, Int

from genjax.networks.recurrent import GRU


class TextEncoder(nn.Module):
    """Encoder of each caption as a vector: linear in the last state of a GRU that reads the caption's words."""

    words: int
    """Size of the vocabulary: word numbers are below it, and 0 stands for no word."""
    features: int
    """Length of the vectors."""
    embedding: int = 64
    """Length of the word embeddings."""
    hidden: int = 128
    """Units of the GRU."""

    @nn.compact
    def __call__(self, caption: Int[Array, "batch T"], train: bool = False) -> Float[Array, "batch features"]:
        """Return one vector per caption; `train` has no effect."""
        words = nn.Embed(self.words, self.embedding, name="words")(caption)
        state = GRU(self.hidden, name="gru")(words, caption > 0)
        return nn.Dense(self.features, name="features")(state)
