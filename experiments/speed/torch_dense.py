"""Dense models in plain PyTorch: NADE, MADE, the VAE and its importance weighted bound, and the adversarial
autoencoder.
"""

import itertools
import math

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]

from experiments.speed import sides
from experiments.speed.sides import Side, Sizes
from experiments.speed.torch_parts import DEVICE, adam, binary, descend, grey, moved, side
from genjax.networks.masked import layer_masks, spread_degrees


def nats(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return -log p(x) of binary pixels, summed over pixels, mean over the batch."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


class Nade(nn.Module):
    """NADE (Larochelle & Murray 2011), one pixel after another."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        shape = (sizes.pixels, sizes.features)
        self.W, self.V = (nn.Parameter(0.01 * torch.randn(shape)) for _ in range(2))
        self.b, self.c = (nn.Parameter(torch.zeros(size)) for size in shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logit of each pixel given the pixels before it."""
        activation, logits = self.c.expand(len(x), -1), []
        for W, V, b, value in zip(self.W.unbind(), self.V.unbind(), self.b.unbind(), x.unbind(1), strict=True):
            logits.append(torch.sigmoid(activation) @ V + b)
            activation = activation + value[:, None] * W
        return torch.stack(logits, dim=1)

    @torch.no_grad()
    def sample(self, count: int) -> torch.Tensor:
        """Draw images pixel after pixel."""
        activation, drawn = self.c.expand(count, -1), []
        for W, V, b in zip(self.W, self.V, self.b, strict=True):
            value = torch.bernoulli(torch.sigmoid(torch.sigmoid(activation) @ V + b))
            activation = activation + value[:, None] * W
            drawn.append(value)
        return torch.stack(drawn, dim=1)


def nade_step() -> Side:
    """Return NADE's training step."""
    (model,) = moved(Nade(sides.NADE))
    x, optimizer = binary(sides.NADE).flatten(1), adam(sides.LIKELIHOOD, model)
    return side(lambda: descend(nats(model(x), x), optimizer), model)


def nade_sampler() -> Side:
    """Return NADE's sampler."""
    (model,) = moved(Nade(sides.NADE))
    return side(lambda: model.sample(sides.NADE.batch), model)


class MaskedLinear(nn.Linear):
    """Linear layer whose weights are multiplied by a mask [inputs, outputs]."""

    mask: torch.Tensor

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__(mask.shape[0], mask.shape[1])
        self.register_buffer("mask", mask.T.float().contiguous())

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        return F.linear(input, self.mask * self.weight, self.bias)


def made(sizes: Sizes) -> nn.Module:
    """Return MADE (Germain et al. 2015) with one hidden layer and the masks of genjax."""
    degrees = spread_degrees(torch.arange(sizes.pixels).numpy(), (sizes.features,), seed=0)
    first, last = (torch.from_numpy(mask) for mask in layer_masks(degrees))
    return nn.Sequential(MaskedLinear(first), nn.ReLU(), MaskedLinear(last))


def made_step() -> Side:
    """Return MADE's training step."""
    (model,) = moved(made(sides.MADE))
    x, optimizer = binary(sides.MADE).flatten(1), adam(sides.LIKELIHOOD, model)
    return side(lambda: descend(nats(model(x), x), optimizer), model)


def mlp(activation: type[nn.Module], *widths: int) -> nn.Sequential:
    """Return linear layers between these widths, each followed by the activation."""
    pairs = itertools.pairwise(widths)
    return nn.Sequential(*(one for pair in pairs for one in (nn.Linear(*pair), activation())))


class Vae(nn.Module):
    """VAE with dense networks (Kingma & Welling 2014; Burda et al. 2016)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        hidden = (sizes.features,) * sizes.layers
        self.body = mlp(nn.Tanh, sizes.pixels, *hidden)
        self.mean, self.log_sigma = (nn.Linear(hidden[-1], sizes.latents) for _ in range(2))
        self.decoder = nn.Sequential(mlp(nn.Tanh, sizes.latents, *hidden), nn.Linear(hidden[-1], sizes.pixels))

    def posterior(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log standard deviation of q(z|x)."""
        features = self.body(x)
        return self.mean(features), self.log_sigma(features)


def elbo_loss(model: Vae, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return minus the evidence lower bound at z = mean + sigma noise, mean over the batch."""
    mean, log_sigma = model.posterior(x)
    logits = model.decoder(mean + log_sigma.exp() * noise)
    kl = 0.5 * (mean**2 + (2 * log_sigma).exp() - 1 - 2 * log_sigma).sum() / len(x)
    return nats(logits, x) + kl


def iwae_loss(model: Vae, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return minus the importance weighted bound of k samples, with noise [k, batch, latents], mean over the batch."""
    mean, log_sigma = model.posterior(x)
    z = mean + log_sigma.exp() * noise
    logits = model.decoder(z)
    log_p_x = -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
    log_ratio = (0.5 * noise**2 + log_sigma - 0.5 * z**2).sum(-1)  # log p(z) - log q(z|x)
    return -(torch.logsumexp(log_p_x + log_ratio, dim=0) - math.log(len(noise))).mean()


def vae_step() -> Side:
    """Return the VAE's training step."""
    (model,), sizes = moved(Vae(sides.VAE)), sides.VAE
    x, optimizer = binary(sizes).flatten(1), adam(sides.LIKELIHOOD, model)

    def call() -> torch.Tensor:
        return descend(elbo_loss(model, x, torch.randn(sizes.batch, sizes.latents, device=DEVICE)), optimizer)

    return side(call, model)


def iwae_step() -> Side:
    """Return the training step of the importance weighted autoencoder."""
    (model,), sizes = moved(Vae(sides.IWAE)), sides.IWAE
    x, optimizer = binary(sizes).flatten(1), adam(sides.LIKELIHOOD, model)

    def call() -> torch.Tensor:
        noise = torch.randn(sizes.samples, sizes.batch, sizes.latents, device=DEVICE)
        return descend(iwae_loss(model, x, noise), optimizer)

    return side(call, model)


class Aae(nn.Module):
    """Networks of an adversarial autoencoder (Makhzani et al. 2015)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        hidden, pixels, latents = (sizes.features,) * sizes.layers, sizes.pixels, sizes.latents
        self.encoder = nn.Sequential(mlp(nn.ReLU, pixels, *hidden), nn.Linear(hidden[-1], latents))
        self.decoder = nn.Sequential(mlp(nn.ReLU, latents, *hidden), nn.Linear(hidden[-1], pixels))
        self.discriminator = nn.Sequential(mlp(nn.ReLU, latents, *hidden), nn.Linear(hidden[-1], 1))


def reconstruction_loss(model: Aae, x: torch.Tensor) -> torch.Tensor:
    """Return the squared error, summed over pixels, mean over the batch."""
    return ((torch.sigmoid(model.decoder(model.encoder(x))) - x) ** 2).sum() / len(x)


def codes_loss(model: Aae, x: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Return the discriminator's loss: codes of images against samples of the prior."""
    with torch.no_grad():
        codes = model.encoder(x)
    return F.softplus(-model.discriminator(prior)).mean() + F.softplus(model.discriminator(codes)).mean()


def deception_loss(model: Aae, x: torch.Tensor) -> torch.Tensor:
    """Return the encoder's loss: its codes are taken for samples of the prior."""
    return F.softplus(-model.discriminator(model.encoder(x))).mean()


def aae_step() -> Side:
    """Return the three updates of the adversarial autoencoder."""
    (model,), sizes = moved(Aae(sides.AAE)), sides.AAE
    x = grey(sizes).flatten(1)
    reconstruction = adam(sides.LIKELIHOOD, model.encoder, model.decoder)
    discriminator, deception = (adam(sides.CODE_ADAM, one) for one in (model.discriminator, model.encoder))

    def call() -> torch.Tensor:
        descend(reconstruction_loss(model, x), reconstruction)
        descend(codes_loss(model, x, 5.0 * torch.randn(len(x), sizes.latents, device=DEVICE)), discriminator)
        return descend(deception_loss(model, x), deception)

    return side(call, model)
