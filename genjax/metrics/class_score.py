"""Class score: certainty of a named classifier on each image and variety of its classes (an inception score)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from genjax.metrics.numbers import reals


class ClassScore(NamedTuple):
    """Class score, and the protocol by which it was measured."""

    value: float
    protocol: str
    """Name of the classifier and number of images."""


def class_score(probabilities: Shaped[np.ndarray, "m classes"], *, classifier: str) -> ClassScore:
    """Return exp E KL(p(y|x) || p(y)), between 1 and the number of classes, for p(y|x) of m images with mean p(y).

    The class score is the inception score (Salimans et al. 2016, sec. 4) with another classifier, which the protocol
    names, over all images at once. Compare it with the score of real images, which is also below the number of classes.
    Raises ValueError if there is no row, or a row is not a probability distribution.
    """
    probabilities = reals("probabilities", probabilities)
    if not (probabilities >= 0).all() or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise ValueError(f"probabilities {probabilities.shape}: each row must be a probability distribution")
    from scipy.special import rel_entr  # slow to import

    divergence = rel_entr(probabilities, probabilities.mean(axis=0)).sum(axis=1).mean()
    return ClassScore(float(np.exp(divergence)), f"exp E KL(p(y|x) || p(y)), {classifier}, {len(probabilities)} images")
