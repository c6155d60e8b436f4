"""Linear probe: how well a linear classifier predicts labels from features, by one protocol for every model."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

REGULARIZATIONS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Values of scikit-learn's C that are tried: the inverse weight of the penalty."""

ITERATIONS = 500
"""Largest number of optimizer iterations; the loss is convex, and further iterations change no prediction."""


class Labelled(NamedTuple):
    """Features of examples and their labels."""

    features: Float[np.ndarray, "N F"]
    label: Int[np.ndarray, " N"]
    """Class of each example."""


def linear_probe(
    train: Labelled, validation: Labelled, test: Labelled, *, regularizations: Sequence[float] = REGULARIZATIONS
) -> float:
    """Test error rate, in [0, 1], of multinomial logistic regression on the features.

    Features are standardized by mean and standard deviation of the training part. The strength of scikit-learn's L2
    penalty is the one of `regularizations` with the smallest validation error; of two equal ones, the stronger penalty.
    The result is deterministic. Raises ValueError if a part is empty, holds NaN or infinity, or its numbers of features
    or labels do not match, or if the training part has one class only.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import
    from sklearn.preprocessing import StandardScaler

    check_parts({"train": train, "validation": validation, "test": test})
    if not regularizations or min(regularizations) <= 0:
        raise ValueError(f"regularizations={tuple(regularizations)}: needs at least one, each above 0")
    scaler = StandardScaler().fit(train.features.astype(np.float64))
    train, validation, test = (
        part._replace(features=scaler.transform(part.features.astype(np.float64))) for part in (train, validation, test)
    )
    model = LogisticRegression(max_iter=ITERATIONS, warm_start=True)
    errors: list[tuple[float, float]] = []
    for strength in sorted(regularizations):  # each fit starts from the one before
        fit(model.set_params(C=strength), train)
        errors.append((error_rate(model, validation), error_rate(model, test)))
    return min(errors, key=lambda pair: pair[0])[1]


def check_parts(parts: dict[str, Labelled]) -> None:
    """Raise ValueError if the parts cannot be probed."""
    width = parts["train"].features.shape[1]
    for name, (features, label) in parts.items():
        if not len(features) or len(features) != len(label) or features.shape[1] != width:
            shapes = f"features {features.shape} and labels {label.shape}"
            raise ValueError(f"{name}: {shapes}, must be [N, {width}] and [N], and not empty")
        if not np.isfinite(features).all():
            raise ValueError(f"{name}: features hold NaN or infinity")
    if len(np.unique(parts["train"].label)) < 2:
        raise ValueError("train: labels of one class only, needs at least two")


def fit(model: Any, train: Labelled) -> None:
    """Fit the model, without the warning that the optimizer has not converged."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train.features, train.label)


def error_rate(model: Any, part: Labelled) -> float:
    """Fraction of examples whose predicted class is not the label."""
    return float((model.predict(part.features) != part.label).mean())
