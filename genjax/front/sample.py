"""Samples of a trained model in one call: images, completions, translations, texts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from genjax.capabilities import Captioner, Writer
from genjax.core import Input, Model, TrainState
from genjax.data.array_checks import checked_images, checked_known, checked_labels
from genjax.front.check import check_array, naming_what_is_missing
from genjax.mesh import mesh_of, on_each_device
from genjax.sampling import in_chunks, make_generate
from genjax.training import seed as seed_of
from genjax.types import Key

REMEDIES = {
    "label": "pass labels=..., a class for each sample",
    "caption": "pass captions=..., a text for each sample",
    "image": "say the images' shape by genjax.core.with_inputs(model, image=genjax.Input(image_shape))",
}
"""Array name -> advice for the user on how to pass this array to `sample`."""


class Given(NamedTuple):
    """Conditions of the samples, as the user passes them to `sample`; None if not given."""

    image: Any = None
    labels: Any = None
    captions: Sequence[str] | None = None
    known: Any = None


def sample(
    model: Model,
    state: TrainState,
    count: int | None = None,
    *,
    seed: int = 0,
    key: Key | None = None,
    image: Any = None,
    labels: Any = None,
    captions: Sequence[str] | None = None,
    known: Any = None,
    prompt: str | None = None,
    temperature: float = 1.0,
    devices: int | None = None,
) -> np.ndarray | str | list[str]:
    """Return `count` samples: images [count, H, W, C] in [0, 1], series, or for a text model `count` characters.

    Characters are returned as one string. A state of several seeds gives an array with a leading seed axis, or a list
    of strings.

    Args:
        model: The model of the state.
        state: State from `genjax.train` or `genjax.restore`.
        count: Number of images or series, or of characters. Not needed if `image`, `labels` or `captions` is given.
        seed: Seed of the noise; another seed gives other samples.
        key: Key of the noise, used instead of `seed`.
        image: Images [N, H, W(, C)] to transform (autoencoder, StarGAN, CycleGAN, Puzzle-GAN), or to complete if
            `known` is given.
        labels: Class of each sample, or the target class of each image (StarGAN), or the category (InfoGAN).
        captions: Caption of each sample.
        known: Mask, 1 for pixels of `image` to keep and 0 for pixels to draw; [H, W] or [N, H, W], with or without C.
            All models but EoNADE need the first pixels of their ordering, such as the upper rows.
        prompt: Text that the model continues; it is not part of the result.
        temperature: Temperature, above 0: characters are drawn from probabilities to the power of 1 / temperature.
        devices: Number of devices over which the samples are spread; by default all.

    Raises ValueError if the model cannot use an argument, needs one that is missing, or draws NaN.
    """
    key = jax.random.key(seed) if key is None else key
    state = on_each_device(state._replace(opt={}), devices)
    given = Given(image, labels, captions, known)
    writer = model.capability(Writer)
    if writer is not None:
        return written(writer, state, count, key, prompt or "", temperature, given)
    if prompt is not None or temperature != 1.0:
        raise ValueError("prompt and temperature are for models of texts, such as genjax.char_rnn(data.vocabulary)")
    batch = batch_of(model, given, count)
    # `known` is checked outside of jit.
    generate = model.generate if known is not None else make_generate(model.generate, mesh_of(state.params))

    def draw(one: TrainState) -> np.ndarray:
        with naming_what_is_missing(batch, REMEDIES):
            drawn = in_chunks(generate, one.params, one.stats, batch, key)
        if not np.isfinite(drawn).all():
            raise ValueError("samples: are not finite; train the model first, with arguments that suit it")
        return drawn

    return np.stack([draw(one) for one in states_of(state)]) if state.key.ndim else draw(state)


def states_of(state: TrainState) -> list[TrainState]:
    """Return the state of each seed, without the seed axis."""
    return [seed_of(state, index) for index in range(len(state.key))] if state.key.ndim else [state]


def written(
    writer: Writer, state: TrainState, count: int | None, key: Key, prompt: str, temperature: float, given: Given
) -> str | list[str]:
    """Return the `count` characters that follow the prompt: one string per seed in a list if there is a seed axis."""
    if any(one is not None for one in given):
        raise ValueError("image, labels, captions and known are for models of images; a text follows its prompt")
    if count is None or count < 1:
        raise ValueError(f"count={count}: say how many characters are to be written, at least 1")
    texts = [writer.write(one.params, prompt, temperature, count, key) for one in states_of(state)]
    return texts if state.key.ndim else texts[0]


def batch_of(model: Model, given: Given, count: int | None) -> Mapping[str, np.ndarray]:
    """Return the batch that samples are generated from, with `count` examples."""
    check_use(model, given)
    size = size_of(given, count)
    if "image" not in model.inputs:
        return {"sequence": np.zeros((size, 1), np.float32)}
    shape = model.inputs["image"].shape
    batch = {"image": np.zeros((size, *shape), np.float32)}
    if given.image is not None:
        images = checked_images("image", given.image)
        batch["image"] = (images / 255 if images.dtype == np.uint8 and images.max() > 1 else images).astype(np.float32)
        check_array("image", batch["image"], model.inputs["image"])
    if given.known is not None:
        batch["known"] = checked_known(given.known, batch["image"].shape).astype(np.float32)
    if given.labels is not None:
        batch["label"] = checked_labels("labels", given.labels, size)
        check_array("label", batch["label"], declared(model)["label"])
    if given.captions is not None:
        batch["caption"] = tokens_of(model)(given.captions)
    return batch


def declared(model: Model) -> Mapping[str, Input]:
    """Return the shapes and ranges of all arrays that the model's sampler may read."""
    return {**model.inputs, **model.conditions}


def check_use(model: Model, given: Given) -> None:
    """Raise ValueError if the model cannot use a condition that is given, or needs one that is missing."""
    if not model.draws and given.image is None:
        raise ValueError("image: this model draws no images, it transforms some; pass image=images")
    if model.draws and given.image is not None and given.known is None:
        raise ValueError("image: this model draws images of its own; leave it out, or pass known=... as well")
    if given.known is not None and given.image is None:
        raise ValueError("known: says which pixels of image=... are kept; pass image as well")
    if given.image is None and "image" not in model.inputs and any(one is not None for one in given):
        raise ValueError("labels, captions and known are for models of images")
    if given.labels is not None and "label" not in declared(model):
        raise ValueError("labels: this model reads none; leave them out, or take a model of classes or categories")


def size_of(given: Given, count: int | None) -> int:
    """Return the number of samples, which all arguments must agree on; raise ValueError if they do not."""
    sizes = {
        name: len(array)
        for name, array in (("image", given.image), ("labels", given.labels), ("captions", given.captions))
        if array is not None
    }
    sizes |= {} if count is None else {"count": count}
    if not sizes:
        raise ValueError("count: say how many samples are to be drawn")
    if len(set(sizes.values())) > 1 or min(sizes.values()) < 1:
        told = ", ".join(f"{size} by {name}" for name, size in sizes.items())
        raise ValueError(f"count: the number of samples must be at least 1 and the same everywhere, it is {told}")
    return next(iter(sizes.values()))


def tokens_of(model: Model) -> Callable[[Sequence[str]], np.ndarray]:
    """Return the function from captions to word numbers [N, T]; raise ValueError if the model reads no captions."""
    captioner = model.capability(Captioner)
    if captioner is None:
        raise ValueError("captions: this model knows no words; take genjax.text_to_image(data.image_shape, data.words)")
    return lambda captions: np.stack([captioner.tokens(text) for text in captions])
