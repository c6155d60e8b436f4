"""Networks and losses of both sides of a comparison with PyTorch are the same: equal weights give equal losses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.speed import ours, sides
from experiments.speed.sides import Sizes
from genjax.core import init_state, make_step
from tests.experiments.torch_weights import (
    aligned,
    chain,
    copy,
    images,
    in_order_of,
    leaves_of,
    randomized,
    tensor,
    torch,
)

dense, pixels, sequences, adversarial, text, translation, growing, parts = (
    pytest.importorskip(f"experiments.speed.torch_{name}")
    for name in ("dense", "pixels", "sequences", "adversarial", "text", "translation", "growing", "parts")
)

KEY = jax.random.key(3)
DENSE = Sizes(3, 5, 1, features=7, layers=2, latents=4)
IMAGES = Sizes(3, 8, 1, features=4, layers=2)
TEXTS = Sizes(3, features=6, layers=2, length=5, words=9)
TRANSLATED = Sizes(3, 16, 3, features=4, layers=2)


def prepared(model, batch, scale=0.2):
    """Return weights so far from 0 that all matter, in the order of their creation, and the running statistics."""
    params, stats = model.init(KEY, batch)
    return in_order_of(params, randomized(params, scale)), stats


def our_loss(model, phase, params, stats, batch, key=KEY):
    (one,) = [one for one in model.phases if one.name == phase]
    return float(one.loss(params, stats, batch, key)[0])


def assert_same(ours, theirs):
    assert np.isfinite(ours)
    np.testing.assert_allclose(theirs.item(), ours, rtol=1e-4)


def test_nade():
    model, batch = ours.nade_of(DENSE), ours.binary(DENSE)
    params, stats = prepared(model, batch)
    theirs, weights = dense.Nade(DENSE), params["nade"]
    with torch.no_grad():
        for name in "WVbc":
            getattr(theirs, name).copy_(tensor(weights[name]))
    x = tensor(batch["image"]).flatten(1)
    assert_same(our_loss(model, "likelihood", params, stats, batch), dense.nats(theirs(x), x))


def test_made():
    model, batch = ours.made_of(DENSE), ours.binary(DENSE)
    params, stats = prepared(model, batch)
    theirs = dense.made(DENSE)
    copy(leaves_of(params), theirs)
    x = tensor(batch["image"]).flatten(1)
    assert_same(our_loss(model, "likelihood", params, stats, batch), dense.nats(theirs(x), x))


@pytest.mark.parametrize("samples", [1, 3])
def test_vae_and_iwae(samples):
    sizes = DENSE._replace(samples=samples)
    model, batch = ours.vae_of(sizes), ours.binary(sizes)
    params, stats = prepared(model, batch)
    theirs = dense.Vae(sizes)
    copy(leaves_of(params), theirs)
    x = tensor(batch["image"]).flatten(1)
    noise = tensor(jax.random.normal(KEY, (samples, sizes.batch, sizes.latents)))
    loss = dense.elbo_loss(theirs, x, noise[0]) if samples == 1 else dense.iwae_loss(theirs, x, noise)
    assert_same(our_loss(model, "bound", params, stats, batch), loss)


def test_aae():
    model, batch = ours.aae_of(DENSE), {"image": ours.grey(DENSE)}
    params, stats = prepared(model, batch)
    theirs = dense.Aae(DENSE)
    copy(leaves_of(params), theirs)
    x = tensor(batch["image"]).flatten(1)
    prior = 5 * tensor(jax.random.normal(jax.random.split(KEY, 3)[1], (DENSE.batch, DENSE.latents)))
    assert_same(our_loss(model, "reconstruction", params, stats, batch), dense.reconstruction_loss(theirs, x))
    assert_same(our_loss(model, "discriminator", params, stats, batch), dense.codes_loss(theirs, x, prior))
    assert_same(our_loss(model, "regularization", params, stats, batch), dense.deception_loss(theirs, x))


def test_pixel_cnn():
    model, batch = ours.pixel_cnn_of(IMAGES), ours.binary(IMAGES)
    params, stats = prepared(model, batch)
    theirs = pixels.PixelCNN(IMAGES)
    copy(leaves_of(params), theirs)
    x = images(batch["image"])
    assert_same(our_loss(model, "likelihood", params, stats, batch), dense.nats(theirs(x), x))


def row_kernels(one):
    h, sizes = one["initial_h"].size, one["state_to_state"].shape
    inputs = one["input_to_state"].reshape(2, -1, sizes[1]).transpose(2, 1, 0)
    states = one["state_to_state"].reshape(3, h, sizes[1]).transpose(2, 1, 0)
    return [one["initial_h"], one["initial_c"], inputs[:, :, None], one["bias"], states]


def diagonal_kernels(one):
    h = one["initial_h"].shape[-1]
    found = []
    for stream in (0, 1):
        inputs = one["input_to_state"][stream].T[:, :, None, None]
        states = one["state_to_state"][stream].reshape(2, h, -1).transpose(2, 1, 0)
        initial = [one[f"initial_{name}"][stream] for name in "hc"]
        found += [*initial, inputs, one["bias"][stream], states]
    return found


@pytest.mark.parametrize("layer", ["row", "diagonal"])
def test_pixel_rnn(layer):
    model, batch = ours.pixel_rnn_of(layer, IMAGES), ours.binary(IMAGES)
    params, stats = prepared(model, batch, scale=0.5)
    own = params["pixel_rnn"]
    make, kernels = {
        "row": (pixels.RowLSTM, row_kernels),
        "diagonal": (pixels.DiagonalBiLSTM, diagonal_kernels),
    }[layer]
    theirs = pixels.PixelRNN(make, IMAGES)
    with torch.no_grad():
        recurrent = chain(*(kernels(own[f"recurrent_{index}"]) for index in range(IMAGES.layers)))
        for array, one in zip(recurrent, theirs.recurrent.parameters(), strict=True):
            one.copy_(tensor(array))
    copy(leaves_of(own["first"]), theirs.first)
    copy(chain(*(leaves_of(own[f"widen_{index}"]) for index in range(IMAGES.layers))), theirs.widen)
    copy(chain(leaves_of(own["head_0"]), leaves_of(own["head_1"])), theirs.head)
    x = images(batch["image"])
    assert_same(our_loss(model, "likelihood", params, stats, batch), dense.nats(theirs(x), x))


def test_char_rnn():
    model, batch = ours.char_rnn_of(TEXTS), ours.characters(TEXTS)
    params, stats = prepared(model, batch, scale=1.0)
    theirs, own = sequences.CharRNN(TEXTS), params["rnn"]

    def gates(array):
        """Return the columns of the gates in PyTorch's order: i, f, g, o."""
        i, f, o, g = jnp.split(array, 4, axis=-1)
        return jnp.concatenate([i, f, g, o], axis=-1)

    with torch.no_grad():
        for index in range(TEXTS.layers):
            layer = own["core"][f"layer_{index}"]
            getattr(theirs.lstm, f"weight_ih_l{index}").copy_(tensor(gates(layer["input"]["kernel"]).T))
            getattr(theirs.lstm, f"weight_hh_l{index}").copy_(tensor(gates(layer["recurrent"]).T))
            getattr(theirs.lstm, f"bias_ih_l{index}").copy_(tensor(gates(layer["input"]["bias"])))
    copy(leaves_of(own["head"]), theirs.head)
    x = tensor(batch["sequence"]).long()
    assert_same(our_loss(model, "likelihood", params, stats, batch), sequences.nats_per_character(theirs, x))


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3)])
def test_dcgan(side, channels):
    """PyTorch's strided layers are aligned to the other side: mirrored weights map mirrored images to mirrored ones."""
    sizes = Sizes(3, side, channels, features=2, latents=5)
    model, batch = ours.dcgan_of(sizes), {"image": ours.grey(sizes)}
    params, stats = prepared(model, batch)
    widths = adversarial.all_channels(sizes.shape, sizes.features)
    small = side // 2 ** len(widths)
    G, D = adversarial.Generator(sizes, sizes.latents), adversarial.Discriminator(sizes, widths)
    copy(leaves_of(params), G, D, flat=(small, small, widths[-1]), mirrored=True)
    x = images(batch["image"], mirrored=True)

    def noise(key):
        return tensor(jax.random.uniform(key, (sizes.batch, sizes.latents), minval=-1.0, maxval=1.0))

    loss = adversarial.discriminator_loss(G, D, x, noise(jax.random.split(KEY, 5)[0]))
    assert_same(our_loss(model, "discriminator", params, stats, batch), loss)
    loss = adversarial.generator_loss(G, D, noise(jax.random.split(KEY)[0]))
    assert_same(our_loss(model, "generator", params, stats, batch), loss)


def test_cyclegan():
    model, batch = ours.cyclegan_of(TRANSLATED), ours.two_domains(TRANSLATED)
    params, stats = prepared(model, batch)
    makes = (*(translation.Translator,) * 2, *(translation.PatchDiscriminator,) * 2)
    networks = [make(TRANSLATED) for make in makes]
    copy(leaves_of(params), *networks)
    for network in networks:
        aligned(network)
    G, H, D_X, D_Y = networks
    x, y = (images(batch[name]) for name in ("image", "other_image"))
    loss = translation.cycle_loss(G, H, D_X, D_Y, x, y)
    assert_same(our_loss(model, "generators", params, stats, batch), loss)
    loss = translation.patches_loss(D_X, x, H(y)) + translation.patches_loss(D_Y, y, G(x))
    assert_same(our_loss(model, "discriminators", params, stats, batch), loss)


def test_stargan():
    """All images have one label, so that targets in a random order are known."""
    model, batch = ours.stargan_of(TRANSLATED), ours.labelled(TRANSLATED)
    batch["attributes"] = jnp.tile(jnp.array([[1.0, 0, 1, 0, 0]]), (TRANSLATED.batch, 1))
    params, stats = prepared(model, batch)
    G, D = translation.LabelledGenerator(TRANSLATED), translation.TwoHeads(TRANSLATED)
    copy(leaves_of(params), G, D, flat=(2, 2, 16))
    aligned(G)
    x, bits = images(batch["image"]), tensor(batch["attributes"])
    weight = tensor(jax.random.uniform(jax.random.split(KEY)[1], (TRANSLATED.batch,)))[:, None, None, None]
    loss = translation.critic_loss(G, D, x, bits, bits, weight)
    assert_same(our_loss(model, "discriminator", params, stats, batch), loss)
    assert_same(our_loss(model, "generator", params, stats, batch), translation.translator_loss(G, D, x, bits, bits))


def test_progressive_gan():
    sizes = Sizes(3, 16, 3, features=2, latents=5)
    model, batch = ours.progressive_gan_of(sizes), ours.grown(sizes)
    params, stats = prepared(model, batch)
    G, D = growing.Generator(sizes), growing.Discriminator(sizes)
    g, d = (params[name]["params"] for name in ("generator", "discriminator"))
    blocks = [f"conv_{level}_{index}" for level in (1, 2) for index in (0, 1)]
    back = [f"conv_{level}_{index}" for level in (2, 1) for index in (0, 1)]
    to_image, from_image = ([f"{kind}_image_{level}" for level in range(3)] for kind in ("to", "from"))
    flat = (4, 4, 8)
    copy(chain(*(leaves_of(g[name]) for name in ("linear", "conv_0_1", *blocks, *to_image))), G, flat=flat)
    copy(chain(*(leaves_of(d[name]) for name in (*from_image, *back, "conv_0_0", "linear", "output"))), D, flat=flat)
    keys = jax.random.split(KEY, 5)
    z, other_z = (
        tensor(jax.random.normal(key, (sizes.batch, sizes.latents))) for key in (keys[0], jax.random.split(KEY)[0])
    )
    weight = tensor(jax.random.uniform(keys[3], (sizes.batch,)))[:, None, None, None]
    x = 2 * images(batch["image"]) - 1
    loss = growing.critic_loss(G, D, x, z, weight, 1.0)
    assert_same(our_loss(model, "discriminator", params, stats, batch), loss)
    assert_same(our_loss(model, "generator", params, stats, batch), -D(G(other_z, 1.0), 1.0).mean())


def test_puzzle_gan():
    sizes = Sizes(3, 16, 3, features=3, latents=5)
    model, batch = ours.puzzle_gan_of(sizes), ours.puzzles(sizes)
    params, stats = prepared(model, batch)
    widths = adversarial.capped_channels(sizes.shape, sizes.features)
    G, D = adversarial.PuzzleGenerator(sizes), adversarial.Discriminator(sizes, widths)
    copy(leaves_of(params), G, D, flat=(4, 4, widths[-1]), mirrored=True)
    x, patches, M = (images(batch[name], mirrored=True) for name in ("image", "patches", "mask"))
    z = tensor(jax.random.uniform(KEY, (sizes.batch, sizes.latents), minval=-1.0, maxval=1.0))
    loss = adversarial.puzzle_discriminator_loss(G, D, x, patches, M, z)
    assert_same(our_loss(model, "discriminator", params, stats, batch), loss)
    loss = adversarial.puzzle_generator_loss(G, D, x, patches, M, z)
    assert_same(our_loss(model, "generator", params, stats, batch), loss)


def text_encoder(sizes, own):
    """Return PyTorch's text encoder with genjax's weights; its second bias of each gate is 0."""
    theirs = text.TextEncoder(sizes)
    with torch.no_grad():
        theirs.words.weight.copy_(tensor(own["words"]["embedding"]))
        theirs.gru.weight_ih_l0.copy_(tensor(own["gru"]["input"]["kernel"].T))
        theirs.gru.weight_hh_l0.copy_(tensor(own["gru"]["recurrent"].T))
        theirs.gru.bias_ih_l0.copy_(tensor(own["gru"]["input"]["bias"]))
        theirs.gru.bias_hh_l0.zero_()
    copy(leaves_of(own["features"]), theirs.features)
    return theirs


def test_text_to_image():
    sizes = Sizes(3, 16, 3, features=3, latents=5, length=4, words=7)
    model, batch = ours.text_to_image_of(sizes), ours.captioned(sizes)
    params, stats = prepared(model, batch)
    encoder = text_encoder(sizes, params["text_encoder"]["params"])
    G, D, S = text.TextGenerator(sizes), text.TextDiscriminator(sizes), text.StyleEncoder(sizes)
    names = ("generator", "discriminator", "style_encoder")
    copy(chain(*(leaves_of(params[name]) for name in names)), G, D, S, flat=(4, 4, 6), mirrored=True)
    x, h = images(batch["image"], mirrored=True), encoder(tensor(batch["caption"]).long())
    noise = [tensor(jax.random.normal(key, (3, 5))) for key in (KEY, jax.random.fold_in(KEY, 1))]
    loss = text.matching_aware_loss(G, D, x, h, noise)
    assert_same(our_loss(model, "discriminator", params, stats, batch), loss)
    assert_same(our_loss(model, "generator", params, stats, batch), text.deceiving_loss(G, D, h, noise))
    assert_same(our_loss(model, "style", params, stats, batch), text.style_loss(G, S, h, noise[0]))


@pytest.mark.parametrize("clipped", [False, True])
def test_the_updates_are_the_same(clipped):
    """Adam, and plain steps along a clipped gradient, whose length matters, go through the same losses."""
    large = sides.Adam(0.05)  # so large that the gradient changes, and averages over its history matter
    clip = optax.chain(optax.clip_by_global_norm(sides.CLIP), optax.sgd(0.1))
    model, batch = ours.made_of(DENSE), ours.binary(DENSE)
    phases = tuple(phase._replace(optimizer=clip if clipped else ours.adam(large)) for phase in model.phases)
    state = init_state(model._replace(phases=phases), KEY, batch)
    theirs = dense.made(DENSE)
    copy(leaves_of(state.params), theirs)
    x = tensor(batch["image"]).flatten(1)
    descent = torch.optim.SGD(theirs.parameters(), 0.1) if clipped else parts.adam(large, theirs)
    step, found = jax.jit(make_step(phases)), []
    for _ in range(5):
        state, metrics = step(state, batch)
        loss = parts.descend(dense.nats(theirs(x), x), descent, clip=sides.CLIP if clipped else None)
        found.append((float(metrics["likelihood/loss"]), loss.item()))
    np.testing.assert_allclose(*zip(*found, strict=True), rtol=1e-4)
    assert found[0][0] > found[-1][0] + 0.05
