"""Classifier on an encoder, such as a trained autoencoder's: p(label|x) = softmax(head(f(x)))."""

from typing import NamedTuple

import jax
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from genjax.core import Input, Model, Phase, with_inputs
from genjax.errors import ArgumentError
from genjax.networks.bound import bind, init_networks
from genjax.types import Batch, Key, Metrics, Params, PyTree, Scalar, Stats

Logits = Float[Array, "batch classes"]


class Networks(NamedTuple):
    """Networks of a classifier; `params` holds their parameters under the same names."""

    encoder: nn.Module
    """Encoder f from images to codes [batch, features]."""
    classifier: nn.Module
    """Head from codes to logits [batch, classes]."""


def classifier(
    encoder: nn.Module,
    classes: int,
    *,
    optimizer: optax.GradientTransformation,
    frozen: bool = False,
    encoder_params: PyTree | None = None,
    head: nn.Module | None = None,
) -> Model:
    """Return a classifier on an encoder, trained by its cross-entropy; there is no decoder.

    `evaluate` gives error_rate (0 or 1) and cross_entropy_nats; `generate` gives the predicted labels [batch];
    `embed` gives the codes. The batch has a `label` [batch] in 0, ..., classes - 1.

    Args:
        encoder: Network from images to codes [batch, features].
        classes: Number of classes.
        optimizer: Optimizer of the head and, unless it is frozen, of the encoder.
        frozen: Whether the encoder keeps its parameters and only the head is trained.
        encoder_params: Initial parameters of the encoder, such as `params["encoder"]` of a trained autoencoder; fresh
            ones by default.
        head: Network from codes to logits [batch, classes]; by default one dense layer.

    Raises:
        ValueError: if there are fewer than two classes or, at `init`, `encoder_params` do not fit the encoder.
    """
    if classes < 2:
        raise ArgumentError("classes", classes, " must be at least 2")
    networks = Networks(encoder, nn.Dense(classes) if head is None else head)

    def logits(params: Params, batch: Batch) -> Logits:
        f, head = bind(networks, params, {})
        return head(f(batch["image"]))

    def loss(params: Params, stats: Stats, batch: Batch, key: Key) -> tuple[Scalar, tuple[Metrics, Stats]]:
        """Return -E log p(label|x), the cross-entropy in nats, mean over the batch."""
        metrics = classification_metrics(logits(params, batch), batch["label"])
        return metrics["cross_entropy_nats"].mean(), ({"error_rate": metrics["error_rate"].mean()}, stats)

    trained = ("classifier",) if frozen else ("encoder", "classifier")
    model = Model(
        init=lambda key, batch: (init_params(networks, key, batch["image"], encoder_params), {}),
        phases=(Phase("classification", loss, trained, optimizer),),
        evaluate=lambda params, stats, batch, key: classification_metrics(logits(params, batch), batch["label"]),
        generate=lambda params, stats, batch, key: logits(params, batch).argmax(axis=1),
        embed=lambda params, stats, batch: bind(networks, params, {}).encoder(batch["image"]),
        kinds={"error_rate": "exact", "cross_entropy_nats": "exact"},
        draws=False,
    )
    return with_inputs(model, label=Input((), f"classes-{classes}"))


def init_params(
    networks: Networks, key: Key, images: Float[Array, "batch H W C"], encoder_params: PyTree | None
) -> Params:
    """Return fresh parameters of both networks; `encoder_params`, if given, replace those of the encoder."""
    encoder_key, classifier_key = jax.random.split(key)
    params, _ = init_networks(networks, encoder_key, encoder=(images,))
    codes = bind(networks, params, {}).encoder(images)
    head_params, _ = init_networks(networks, classifier_key, classifier=(codes,))
    if encoder_params is None:
        return {**params, **head_params}
    check_alike(encoder_params, params["encoder"])
    return {"encoder": encoder_params, **head_params}


def check_alike(given: PyTree, fresh: PyTree) -> None:
    """Raise ValueError if the given parameters do not have the names and shapes of the encoder's own."""
    ours, theirs = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (fresh, given)
    )
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            shapes = f"{theirs.get(name, 'missing')}, the encoder's is {ours.get(name, 'missing')}"
            raise ValueError(f"encoder_params: the shape of {name} is {shapes}")


def classification_metrics(logits: Logits, label: Int[Array, " batch"]) -> Metrics:
    """Return error_rate (0 if the most probable class is the label, else 1) and cross_entropy_nats, [batch] each."""
    return {
        "error_rate": (logits.argmax(axis=1) != label).astype(logits.dtype),
        "cross_entropy_nats": optax.softmax_cross_entropy_with_integer_labels(logits, label),
    }
