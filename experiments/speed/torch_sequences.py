"""The character LSTM in plain PyTorch."""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]

from experiments.speed import sides
from experiments.speed.sides import Side, Sizes
from experiments.speed.torch_parts import DEVICE, adam, characters, descend, moved, side


class CharRNN(nn.Module):
    """Layers of LSTM over one-hot characters, and a linear layer to the logits of the next character.

    `torch.nn.LSTM` has two biases of each gate, which are added; one of them is kept at 0 so that there is one.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.words = sizes.words
        self.lstm = nn.LSTM(sizes.words, sizes.features, sizes.layers, batch_first=True)
        self.head = nn.Linear(sizes.features, sizes.words)
        for name, bias in self.lstm.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(bias).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of each character given those before it; the input before the first is 0."""
        inputs = F.pad(F.one_hot(x[:, :-1], self.words).float(), (0, 0, 1, 0))
        outputs, _ = self.lstm(inputs)
        return self.head(outputs)

    @torch.no_grad()
    def sample(self, count: int, length: int) -> torch.Tensor:
        """Draw texts character after character."""
        inputs, state, drawn = torch.zeros(count, 1, self.words, device=DEVICE), None, []
        for _ in range(length):
            outputs, state = self.lstm(inputs, state)
            character = torch.multinomial(F.softmax(self.head(outputs[:, 0]), dim=-1), 1)
            inputs = F.one_hot(character, self.words).float()
            drawn.append(character)
        return torch.cat(drawn, dim=1)


def nats_per_character(model: CharRNN, x: torch.Tensor) -> torch.Tensor:
    """Return -log p per character."""
    return F.cross_entropy(model(x).flatten(0, 1), x.flatten())


def char_rnn_step() -> Side:
    """Return the training step."""
    (model,) = moved(CharRNN(sides.CHAR_RNN))
    x, optimizer = characters(sides.CHAR_RNN), adam(sides.CHARACTER_ADAM, model)
    return side(lambda: descend(nats_per_character(model, x), optimizer), model)


def char_rnn_sampler() -> Side:
    """Return the sampler."""
    (model,), sizes = moved(CharRNN(sides.CHAR_SAMPLES)), sides.CHAR_SAMPLES
    return side(lambda: model.sample(sizes.batch, sizes.length), model)
