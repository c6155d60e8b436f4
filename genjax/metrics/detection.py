"""Anomaly detection: how well a score separates usual from unusual examples."""

import numpy as np
from jaxtyping import Num


def auroc(inside: Num[np.ndarray, " N"], outside: Num[np.ndarray, " M"]) -> float:
    """Area under the receiver operating characteristic: P(score inside > score outside) + P(equal) / 2.

    1 if every usual (inside) example scores above every unusual (outside) one, 0.5 by chance. Scores may be infinite.
    Raises ValueError if a side is empty or holds NaN.
    """
    if not (inside.size and outside.size) or np.isnan(inside).any() or np.isnan(outside).any():
        raise ValueError(
            f"scores: needs numbers on both sides, got {inside.size} and {outside.size}, or NaN among them"
        )
    from sklearn.metrics import roc_auc_score  # slow to import

    ranks = np.unique(np.concatenate([inside, outside]), return_inverse=True)[1]  # a log probability may be -infinity
    return float(roc_auc_score(np.repeat([1, 0], [inside.size, outside.size]), ranks))
