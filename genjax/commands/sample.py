"""Draw images or a text from a trained run: python -m genjax sample RUN --count 64.

A model of images under a condition, such as a class, is given the conditions of the first 100 images of the test split,
repeated if more images are drawn.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from genjax.capabilities import Captioner, Writer
from genjax.data.captions import UNKNOWN, words
from genjax.pictures.figures import first_test_batch, image_grid
from genjax.runs.directory import RunError
from genjax.runs.restore import Restored, restore_run
from genjax.sampling import CHUNK, drawn_of

MOST = 100_000
"""Largest number of images or characters that one command draws."""

IMAGES, CHARACTERS = 64, 1000
"""Default numbers of images and of characters."""


def sample(
    directory: Annotated[Path, tyro.conf.Positional],
    *,
    count: int | None = None,
    prompt: str | None = None,
    temperature: float | None = None,
    text: str | None = None,
    key: int = 0,
    seed: int | None = None,
    data_dir: Path | None = None,
    out: Path | None = None,
) -> None:
    """Draw images or a text from a trained run; the same key gives the same result.

    Args:
        directory: Run directory.
        count: Number of images (64 by default), or of characters (1000).
        prompt: Text that the model continues; empty by default.
        temperature: Characters are drawn from probabilities to the power of 1 / temperature; 1 by default.
        text: Caption of the images, for a run of text_to_image; by default the captions of the test split.
        key: Seed of the random numbers.
        seed: Training seed whose parameters are used; by default the run's first.
        data_dir: TFDS directory, if it differs from that of the training.
        out: PNG file to write, by default in the run's figures/; the images are also saved as an array in an .npy file
            of the same name. A text is printed, and written to this file if one is given.
    """
    if count is not None and not 1 <= count <= MOST:
        raise RunError(f"--count {count} must be from 1 to {MOST}", exit_code=2)
    if not 0 <= key < 2**32:
        raise RunError(f"--key {key} must be from 0 to {2**32 - 1}", exit_code=2)
    run = restore_run(directory, data_dir=data_dir)
    seed = run.seed(seed)
    given = captioned(run, text)
    if (writer := run.experiment.capability(Writer)) is not None:
        temperature = 1.0 if temperature is None else temperature
        text = continued(run, writer, seed, count or CHARACTERS, key, prompt or "", temperature)
        print(text)
        if out:
            out.write_text(text, encoding="utf-8")
        return
    if prompt is not None or temperature is not None:
        raise RunError("--prompt and --temperature are for runs on a text", exit_code=2)
    if out and out.suffix != ".png":
        raise RunError(f"--out {out} must end in .png", exit_code=2)
    count = count or IMAGES
    images = draw(run, seed, count, key, given)
    path = out or directory / "figures" / f"samples-{count}-seed-{seed}-key-{key}{words_of(text)}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image_grid(images, columns=int(np.ceil(np.sqrt(count)))).savefig(path, dpi=150)
    np.save(path.with_suffix(".npy"), images)
    print(f"{count} images of {run.config.name} after {run.done} steps: {path} and {path.with_suffix('.npy')}")


def captioned(run: Restored, text: str | None) -> dict[str, np.ndarray]:
    """Return the caption as a batch of size 1, or an empty batch if there is no text; warn of unknown words."""
    if text is None:
        return {}
    captioner = run.experiment.capability(Captioner)
    if captioner is None:
        raise RunError(f"--text is for runs of text_to_image, this is one of {run.config.name}", exit_code=2)
    try:
        caption = captioner.tokens(text)
    except ValueError as error:
        raise RunError(f"--text: {error}", exit_code=2) from error
    if unknown := [word for word, number in zip(words(text), caption, strict=False) if number == UNKNOWN]:
        print(f"warning: --text: no caption of the training has {', '.join(unknown)}", file=sys.stderr)
    return {"caption": caption[None]}


def words_of(text: str | None) -> str:
    """Return the words of a caption as part of a file name."""
    return "" if text is None else "-" + "-".join(words(text))[:80]


def draw(run: Restored, seed: int, count: int, key: int, given: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
    """Return images [count, H, W, C] in [0, 1] of one training seed, under the condition `given`, a batch of size 1."""
    if "image" not in run.experiment.data.train.first():
        raise RunError(
            "this command draws images and texts; samples of a series or of points are in the run's figures/"
        )
    if not run.experiment.model.draws:
        raise RunError(
            f"{run.config.name} draws no images, it transforms given ones; those of the test split are in its figures/"
        )
    params, stats = run.chosen(seed)
    size = min(count, CHUNK)
    image = jnp.zeros((size, *run.experiment.data.image_shape))
    repeated = {name: jnp.repeat(array, size, axis=0) for name, array in (given or {}).items()}
    batch = {**first_test_batch(run.experiment.data, size), **repeated, "image": image}
    return drawn_of(run.experiment.model, params, stats, batch, count, jax.random.key(key))


def continued(run: Restored, writer: Writer, seed: int, count: int, key: int, prompt: str, temperature: float) -> str:
    """Return the prompt and `count` characters that the model of one training seed generates after it."""
    params, _ = run.chosen(seed)
    try:
        return prompt + writer.write(params, prompt, temperature, count, jax.random.key(key))
    except ValueError as error:
        raise RunError(error, exit_code=2) from error
