"""Deep generative models in JAX, from arrays to samples in six lines.

    import genjax
    data = genjax.dataset(images)                         # uint8 [N, H, W(, C)], or floats in [0, 1]
    model = genjax.vae(data.image_shape, latents=20)
    state = genjax.train(model, data, steps=2000, seed=0)
    print(genjax.evaluate(model, state, data.test))
    images = genjax.sample(model, state, 16, seed=1)      # [16, H, W, C]
    genjax.save("my-run", state); state = genjax.restore("my-run", model, data)

The long form describes a model as a value (`Model`, `Phase`) and trains it step by step (`init_seeds`, `iterate`). Each
module of the package can be imported without the others.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genjax.core import Input, Model, Phase, TrainState
    from genjax.data.arrays import ArrayDataset, dataset, domains
    from genjax.data.feed import make_feed
    from genjax.data.sequences import series_dataset, text_dataset
    from genjax.factories.adversarial import dcgan, gan, infogan, text_to_image
    from genjax.factories.autoregressive import eonade, made, nade, pixel_cnn, pixel_rnn, rnade, tabular
    from genjax.factories.latent import aae, autoencoder, vae
    from genjax.factories.progressive import Growth, progressive_gan
    from genjax.factories.sequences import char_rnn, series_rnn
    from genjax.factories.translation import cyclegan, puzzle_gan, stargan
    from genjax.front.evaluate import evaluate
    from genjax.front.export import export, load_exported
    from genjax.front.sample import sample
    from genjax.front.save import restore, save
    from genjax.front.train import Best, train
    from genjax.training import init_seeds, iterate

MODULES = {
    "core": ("Input", "Model", "Phase", "TrainState"),
    "data.arrays": ("ArrayDataset", "dataset", "domains"),
    "data.feed": ("make_feed",),
    "data.sequences": ("series_dataset", "text_dataset"),
    "factories.adversarial": ("dcgan", "gan", "infogan", "text_to_image"),
    "factories.autoregressive": ("eonade", "made", "nade", "pixel_cnn", "pixel_rnn", "rnade", "tabular"),
    "factories.latent": ("aae", "autoencoder", "vae"),
    "factories.progressive": ("Growth", "progressive_gan"),
    "factories.sequences": ("char_rnn", "series_rnn"),
    "factories.translation": ("cyclegan", "puzzle_gan", "stargan"),
    "front.evaluate": ("evaluate",),
    "front.export": ("export", "load_exported"),
    "front.sample": ("sample",),
    "front.save": ("restore", "save"),
    "front.train": ("Best", "train"),
    "training": ("init_seeds", "iterate"),
}
"""Module name -> public names, which are imported from the module when they are first used."""

HOMES = {name: module for module, names in MODULES.items() for name in names}

__all__ = [  # noqa: RUF022 (in the order in which they are used)
    "dataset",
    "domains",
    "text_dataset",
    "series_dataset",
    "train",
    "evaluate",
    "sample",
    "save",
    "restore",
    "export",
    "load_exported",
    "tabular",
    "nade",
    "rnade",
    "made",
    "eonade",
    "pixel_cnn",
    "pixel_rnn",
    "char_rnn",
    "series_rnn",
    "autoencoder",
    "vae",
    "aae",
    "gan",
    "dcgan",
    "infogan",
    "text_to_image",
    "puzzle_gan",
    "cyclegan",
    "stargan",
    "progressive_gan",
    "ArrayDataset",
    "Best",
    "Growth",
    "Input",
    "Model",
    "Phase",
    "TrainState",
    "init_seeds",
    "iterate",
    "make_feed",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `genjax.losses` alone needs only jax and optax."""
    if name not in HOMES:
        raise AttributeError(f"module 'genjax' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"genjax.{HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted({*globals(), *__all__})
