"""One side of a comparison with another library, and what both libraries' sides have in common."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from experiments.speed.plain_forms import Call


class Side(NamedTuple):
    """One library's implementation of a training step or of a sampler."""

    call: Call
    """Function that runs the step or the sampler once."""
    parameters: int
    """Number of parameters that the step trains, or that the sampler reads."""
    wait: Callable[[Any], object] = jax.block_until_ready
    """Function that waits until the result of a call is computed."""
    flops: Callable[[], float | None] = lambda: None
    """Function that returns the floating-point operations of a call; None if they are unknown."""
    memory: Callable[[], int | None] = lambda: None
    """Function that returns the bytes that a compiled step plans; None if there is no such plan."""


class Sizes(NamedTuple):
    """Sizes that both sides of a pair read; tests replace them by smaller ones."""

    batch: int
    side: int = 28
    """Height and width of the images."""
    channels: int = 1
    """Channels of the images."""
    features: int = 32
    """Width of the network: hidden units, features or filters."""
    layers: int = 2
    """Number of layers or blocks that are repeated."""
    latents: int = 50
    samples: int = 1
    """Latents drawn for each image."""
    length: int = 50
    """Characters of a sequence, or words of a caption."""
    words: int = 65
    """Size of the vocabulary."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image as genjax has it: height, width, channels."""
        return (self.side, self.side, self.channels)

    @property
    def pixels(self) -> int:
        """Number of elements of an image."""
        return self.side * self.side * self.channels


NADE = Sizes(100, features=500)
MADE = Sizes(100, features=500)
VAE = Sizes(100, features=200, latents=50)
IWAE = Sizes(20, features=200, latents=50, samples=50)
AAE = Sizes(100, features=1000, latents=8)
PIXEL_CNN = Sizes(64, features=32, layers=15)
PIXEL_RNN = Sizes(16, features=16, layers=2)
CHAR_RNN = Sizes(50, features=256, layers=2, length=50, words=65)
DCGAN_28 = Sizes(64, features=32, latents=100)
DCGAN_32 = Sizes(64, 32, 3, features=64, latents=100)
CYCLEGAN = Sizes(8, 32, 3, features=32, layers=6)
STARGAN = Sizes(16, 32, 3, features=32, layers=6)
PUZZLE_GAN = Sizes(16, 32, 3, features=32, latents=128)
TEXT_TO_IMAGE = Sizes(16, 32, 3, features=32, latents=100, length=12, words=40)
PROGRESSIVE_GAN = Sizes(16, 32, 3, features=32, latents=128)
PIXEL_SAMPLES = Sizes(16, features=32, layers=15)
CHAR_SAMPLES = CHAR_RNN._replace(batch=16, length=200)

BITS = 5
"""Bits of StarGAN's labels."""
CLIP = 1.0
"""Largest norm of PixelRNN's gradient."""
POOL = 50
"""Earlier images that CycleGAN's discriminators may see."""
PARTS = 3
"""Patches of an image that Puzzle-GAN reads."""
PUZZLE_WEIGHT = 0.01
"""Weight of Puzzle-GAN's mask and appearance losses."""
PATCH = 8
"""Height and width of Puzzle-GAN's patches."""
CODE = 128
"""Length of Puzzle-GAN's encoding of the patches."""
EMBEDDED = 128
"""Length of an embedded caption, of the projection that the networks read, and of the text encoder's state."""
WORD = 64
"""Length of a word's embedding."""
STARTING_SIDE = 4
"""Height and width of Progressive GAN's smallest images."""
MOST_MAPS = 128
"""Most channels of a level of Progressive GAN."""


class Adam(NamedTuple):
    """Hyperparameters of Adam, the same on both sides; epsilon is 1e-8."""

    learning_rate: float = 1e-3
    b1: float = 0.9
    b2: float = 0.999


LIKELIHOOD = Adam()
ADVERSARIAL = Adam(2e-4, 0.5)
STARGAN_ADAM = Adam(1e-4, 0.5)
PROGRESSIVE_ADAM = Adam(1e-3, 0.0, 0.99)
CODE_ADAM = Adam(5e-4, 0.5)
"""Optimizer of the adversarial phases of an adversarial autoencoder."""
CHARACTER_ADAM = Adam(2e-3)
