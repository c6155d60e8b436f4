"""Training steps and samplers that `--peer torch` measures; importing this module imports PyTorch."""

import functools

from experiments.speed import (
    ours,
    sides,
    torch_adversarial,
    torch_dense,
    torch_growing,
    torch_pixels,
    torch_sequences,
    torch_text,
    torch_translation,
)
from experiments.speed.ours import sampling, training
from experiments.speed.peer import Pair

PAIRS = (
    Pair(
        "nade step",
        lambda: training(ours.nade_of(sides.NADE), ours.binary(sides.NADE)),
        torch_dense.nade_step,
        0.35,
        (6, 2),
    ),
    Pair(
        "made step",
        lambda: training(ours.made_of(sides.MADE), ours.binary(sides.MADE)),
        torch_dense.made_step,
        0.55,
        (30, 30),
    ),
    Pair(
        "vae step",
        lambda: training(ours.vae_of(sides.VAE), ours.binary(sides.VAE)),
        torch_dense.vae_step,
        0.55,
        (30, 30),
    ),
    Pair(
        "iwae step",
        lambda: training(ours.vae_of(sides.IWAE), ours.binary(sides.IWAE)),
        torch_dense.iwae_step,
        0.6,
        (6, 6),
    ),
    Pair(
        "aae step", lambda: training(ours.aae_of(sides.AAE), {"image": ours.grey(sides.AAE)}), torch_dense.aae_step, 0.7
    ),
    Pair(
        "pixel_cnn step",
        lambda: training(ours.pixel_cnn_of(sides.PIXEL_CNN), ours.binary(sides.PIXEL_CNN)),
        torch_pixels.pixel_cnn_step,
        1.2,
        (2, 2),
    ),
    Pair("row_lstm step", functools.partial(ours.pixel_rnn_step, "row"), torch_pixels.row_lstm_step, 0.5),
    Pair(
        "diagonal_bilstm step",
        functools.partial(ours.pixel_rnn_step, "diagonal"),
        torch_pixels.diagonal_bilstm_step,
        0.5,
    ),
    Pair(
        "char_rnn step",
        lambda: training(ours.char_rnn_of(sides.CHAR_RNN), ours.characters(sides.CHAR_RNN)),
        torch_sequences.char_rnn_step,
        1.0,
    ),
    Pair(
        "dcgan28 step",
        lambda: ours.dcgan_step(sides.DCGAN_28),
        lambda: torch_adversarial.dcgan_step(sides.DCGAN_28),
        0.9,
    ),
    Pair(
        "dcgan32 step",
        lambda: ours.dcgan_step(sides.DCGAN_32),
        lambda: torch_adversarial.dcgan_step(sides.DCGAN_32),
        1.2,
    ),
    Pair(
        "cyclegan step",
        lambda: training(ours.cyclegan_of(sides.CYCLEGAN), ours.two_domains(sides.CYCLEGAN)),
        torch_translation.cyclegan_step,
        1.1,
    ),
    Pair(
        "stargan step",
        lambda: training(ours.stargan_of(sides.STARGAN), ours.labelled(sides.STARGAN)),
        torch_translation.stargan_step,
        1.2,
    ),
    Pair(
        "puzzle_gan step",
        lambda: training(ours.puzzle_gan_of(sides.PUZZLE_GAN), ours.puzzles(sides.PUZZLE_GAN)),
        torch_adversarial.puzzle_gan_step,
        1.2,
    ),
    Pair("text_to_image step", ours.text_to_image_step, torch_text.text_to_image_step, 1.2),
    Pair(
        "progressive_gan step",
        lambda: training(ours.progressive_gan_of(sides.PROGRESSIVE_GAN), ours.grown(sides.PROGRESSIVE_GAN)),
        torch_growing.progressive_gan_step,
        1.2,
    ),
    Pair(
        "nade sampler",
        lambda: sampling(ours.nade_of(sides.NADE), ours.binary(sides.NADE)),
        torch_dense.nade_sampler,
        None,
    ),
    Pair(
        "pixel_cnn sampler",
        lambda: sampling(ours.pixel_cnn_of(sides.PIXEL_SAMPLES), ours.binary(sides.PIXEL_SAMPLES)),
        torch_pixels.pixel_cnn_sampler,
        None,
        (3, 1),
        3,
    ),
    Pair(
        "row_lstm sampler",
        functools.partial(ours.pixel_rnn_sampler, "row"),
        torch_pixels.row_lstm_sampler,
        None,
        (3, 1),
        3,
    ),
    Pair(
        "diagonal_bilstm sampler",
        functools.partial(ours.pixel_rnn_sampler, "diagonal"),
        torch_pixels.diagonal_bilstm_sampler,
        None,
        (3, 1),
        3,
    ),
    Pair(
        "char_rnn sampler",
        lambda: sampling(ours.char_rnn_of(sides.CHAR_SAMPLES), ours.characters(sides.CHAR_SAMPLES)),
        torch_sequences.char_rnn_sampler,
        None,
    ),
)
"""Pairs of the table. Samplers have no target, since those of PixelCNN and PixelRNN compute everything anew."""
