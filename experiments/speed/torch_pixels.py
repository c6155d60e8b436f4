"""PixelCNN and PixelRNN in plain PyTorch (van den Oord, Kalchbrenner & Kavukcuoglu 2016), for binary images.

Kernels end at the row of their centre, since all rows below it would be masked. Images are [batch, 1, H, W].
"""

from collections.abc import Callable

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]

from experiments.speed import sides
from experiments.speed.sides import Side, Sizes
from experiments.speed.torch_dense import nats
from experiments.speed.torch_parts import DEVICE, adam, binary, descend, moved, side

FIRST = 7
"""Size of the first kernel."""
KERNEL = 3
"""Size of all other kernels that read neighbours."""


class CausalConv(nn.Conv2d):
    """Convolution that reads the rows above and the pixels to the left, and with `centre` the pixel itself."""

    mask: torch.Tensor

    def __init__(self, inputs: int, outputs: int, size: int, *, centre: bool) -> None:
        super().__init__(inputs, outputs, (size // 2 + 1, size))
        mask = torch.ones(self.weight.shape[2:])
        mask[-1, size // 2 + centre :] = 0
        self.register_buffer("mask", mask)
        self.border = (size // 2, size // 2, size // 2, 0)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return features of the same height and width."""
        return F.conv2d(F.pad(input, self.border), self.mask * self.weight, self.bias)


class PixelCNN(nn.Module):
    """PixelCNN without gates: residual blocks of a 1x1, a 3x3 and a 1x1 convolution."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        narrow, wide = sizes.features, 2 * sizes.features
        self.first = CausalConv(1, wide, FIRST, centre=False)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(wide, narrow, 1),
                nn.ReLU(),
                CausalConv(narrow, narrow, KERNEL, centre=True),
                nn.ReLU(),
                nn.Conv2d(narrow, wide, 1),
            )
            for _ in range(sizes.layers)
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(wide, wide, 1), nn.ReLU(), nn.Conv2d(wide, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logit of each pixel."""
        features = self.first(2 * x - 1)
        for block in self.blocks:
            features = features + block(features)
        return self.head(features)


class RowLSTM(nn.Module):
    """Row LSTM: the state of a pixel reads three states of the row above, the pixel's input and the one to its left."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.input_to_state = nn.Conv2d(inputs, 4 * hidden, (1, 2))
        self.state_to_state = nn.Conv1d(hidden, 4 * hidden, 3, padding=1, bias=False)
        self.h, self.c = (nn.Parameter(torch.zeros(hidden)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the hidden states, row after row."""
        batch, _, height, width = x.shape
        inputs = self.input_to_state(F.pad(x, (1, 0)))
        h, c = (one[:, None].expand(batch, -1, width) for one in (self.h, self.c))
        rows = []
        for row in range(height):
            h, c = lstm(inputs[:, :, row] + self.state_to_state(h), c)
            rows.append(h)
        return torch.stack(rows, dim=2)


def lstm(gates: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the hidden states and cells after the gates' inputs [batch, 4 hidden, positions] and the cells before."""
    o, f, i, g = gates.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


class DiagonalLSTM(nn.Module):
    """One direction of the Diagonal BiLSTM: the state of a pixel reads those to its left and above it."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.input_to_state = nn.Conv2d(inputs, 4 * hidden, 1)
        self.state_to_state = nn.Conv1d(hidden, 4 * hidden, 2, bias=False)
        self.h, self.c = (nn.Parameter(torch.zeros(hidden)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the hidden states, diagonal after diagonal."""
        batch, _, height, width = x.shape
        inputs = skew(self.input_to_state(x))
        first_h, first_c = (one[:, None].expand(batch, -1, height) for one in (self.h, self.c))
        outside = skew(torch.ones(1, 1, height, width, device=x.device)) == 0
        h, c, columns = first_h, first_c, []
        for column in range(width + height - 1):
            above_and_left = torch.cat([first_h[:, :, :1], h], dim=2)
            h, c = lstm(inputs[..., column] + self.state_to_state(above_and_left), c)
            h, c = torch.where(outside[..., column], first_h, h), torch.where(outside[..., column], first_c, c)
            columns.append(h)
        return unskew(torch.stack(columns, dim=3))


def skew(x: torch.Tensor) -> torch.Tensor:
    """Shift each row by one pixel to the right against the row above it."""
    height, width = x.shape[2:]
    flat = F.pad(x, (0, height)).flatten(2)
    return flat[:, :, : height * (width + height - 1)].unflatten(2, (height, width + height - 1))


def unskew(x: torch.Tensor) -> torch.Tensor:
    """Return the inverse of `skew`."""
    height, diagonals = x.shape[2:]
    flat = F.pad(x.flatten(2), (0, height))
    return flat.unflatten(2, (height, diagonals + 1))[..., : diagonals + 1 - height]


class DiagonalBiLSTM(nn.Module):
    """Diagonal BiLSTM: two directions, of which the one from the right is shifted down by a row."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.left, self.right = (DiagonalLSTM(inputs, hidden) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of both directions."""
        right = self.right(x.flip(3)).flip(3)
        return self.left(x) + F.pad(right[:, :, :-1], (0, 0, 1, 0))


class PixelRNN(nn.Module):
    """PixelRNN: a masked convolution, residual recurrent layers, and two 1x1 convolutions."""

    def __init__(self, layer: Callable[[int, int], nn.Module], sizes: Sizes) -> None:
        super().__init__()
        narrow, wide = sizes.features, 2 * sizes.features
        self.first = CausalConv(1, wide, FIRST, centre=False)
        self.recurrent = nn.ModuleList(layer(wide, narrow) for _ in range(sizes.layers))
        self.widen = nn.ModuleList(nn.Conv2d(narrow, wide, 1) for _ in range(sizes.layers))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(wide, wide, 1), nn.ReLU(), nn.Conv2d(wide, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logit of each pixel."""
        features = self.first(x)
        for recurrent, widen in zip(self.recurrent, self.widen, strict=True):
            features = features + widen(recurrent(features))
        return self.head(features)


def step(network: nn.Module, sizes: Sizes, *, clip: float | None = None) -> Side:
    """Return the training step of a network, with the norm of the gradient clipped at `clip`."""
    (model,) = moved(network)
    x, optimizer = binary(sizes), adam(sides.LIKELIHOOD, model)
    return side(lambda: descend(nats(model(x), x), optimizer, clip=clip), model)


@torch.no_grad()
def sample(model: nn.Module, sizes: Sizes) -> torch.Tensor:
    """Draw images pixel after pixel, computing all conditionals for each."""
    x = torch.zeros(sizes.batch, 1, sizes.side, sizes.side, device=DEVICE)
    for row in range(sizes.side):
        for column in range(sizes.side):
            logits = model(x)[:, :, row, column]
            x[:, :, row, column] = torch.bernoulli(torch.sigmoid(logits))
    return x


def sampler(network: nn.Module, sizes: Sizes) -> Side:
    """Return the sampler of a network."""
    (model,) = moved(network)
    return side(lambda: sample(model, sizes), model)


def pixel_cnn_step() -> Side:
    """Return PixelCNN's training step."""
    return step(PixelCNN(sides.PIXEL_CNN), sides.PIXEL_CNN)


def pixel_cnn_sampler() -> Side:
    """Return PixelCNN's sampler."""
    return sampler(PixelCNN(sides.PIXEL_SAMPLES), sides.PIXEL_SAMPLES)


def row_lstm_step() -> Side:
    """Return the training step of PixelRNN with Row LSTM layers."""
    return step(PixelRNN(RowLSTM, sides.PIXEL_RNN), sides.PIXEL_RNN, clip=sides.CLIP)


def row_lstm_sampler() -> Side:
    """Return the sampler of PixelRNN with Row LSTM layers."""
    return sampler(PixelRNN(RowLSTM, sides.PIXEL_RNN), sides.PIXEL_RNN)


def diagonal_bilstm_step() -> Side:
    """Return the training step of PixelRNN with Diagonal BiLSTM layers."""
    return step(PixelRNN(DiagonalBiLSTM, sides.PIXEL_RNN), sides.PIXEL_RNN, clip=sides.CLIP)


def diagonal_bilstm_sampler() -> Side:
    """Return the sampler of PixelRNN with Diagonal BiLSTM layers."""
    return sampler(PixelRNN(DiagonalBiLSTM, sides.PIXEL_RNN), sides.PIXEL_RNN)
