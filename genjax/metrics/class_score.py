"""How sure a classifier is of each image, and how many classes it sees: an inception score, of a named classifier."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import rel_entr


class ClassScore(NamedTuple):
    """An estimate, and how it was made."""

    value: float
    protocol: str
    """The classifier and the number of images."""


def class_score(probabilities: Float[np.ndarray, "m classes"], *, classifier: str) -> ClassScore:
    """Of p(y|x) of m images, exp E KL(p(y|x) || p(y)) in [1, classes], with their mean as p(y).

    The inception score (Salimans et al. 2016, sec. 4) with another classifier, whose name says which, over all images
    at once. Real images are its anchor: they do not reach the number of classes. Raises ValueError where a row is not a
    distribution, or there is none.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if (
        not len(probabilities)
        or not (probabilities >= 0).all()
        or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)
    ):
        raise ValueError(f"probabilities {probabilities.shape}: each row must be of a distribution, and one be there")
    divergence = rel_entr(probabilities, probabilities.mean(axis=0)).sum(axis=1).mean()
    return ClassScore(float(np.exp(divergence)), f"exp E KL(p(y|x) || p(y)), {classifier}, {len(probabilities)} images")
