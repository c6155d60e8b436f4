"""What the front door says to arrays and calls that cannot be used."""

import re
from pathlib import Path

import numpy as np
import pytest

import genjax
from genjax.front.check import check_examples
from genjax.front.sample import Given, batch_of
from tests.front_door_cases import COUNT, FEW, IMAGES, LABELS, SHAPE, TEXT, grey, model_of, state_of

FLOATS = IMAGES / 255
COLOURS = np.zeros((COUNT, 8, 8, 3), np.uint8)
CHANNELS_FIRST = np.zeros((COUNT, 3, 8, 8), np.uint8)


def with_nan():
    found = FLOATS.copy()
    found[3, 1, 2] = np.nan
    return found


MISUSE = {
    "floats up to 255": (
        lambda: genjax.dataset(IMAGES.astype(float)),
        "from 0 to 255.*divide by 255",
    ),
    "floats from -1": (lambda: genjax.dataset(FLOATS * 2 - 1), r"pass \(images \+ 1\) / 2"),
    "nan": (lambda: genjax.dataset(with_nan()), r"images\[3, 1, 2\] is nan; replace or drop"),
    "rows of pixels": (lambda: genjax.dataset(IMAGES.reshape(COUNT, 64)), r"\(60, 64\); pass \[N, H, W\].*reshape"),
    "one image": (lambda: genjax.dataset(IMAGES[0]), r"pass \[N, H, W\] or .*images\[None\]"),
    "no image": (lambda: genjax.dataset(IMAGES[:0]), "is empty; pass at least one image"),
    "channels first": (
        lambda: genjax.dataset(CHANNELS_FIRST),
        r"pass images.transpose\(0, 2, 3, 1\)",
    ),
    "alpha": (lambda: genjax.dataset(np.zeros((9, 8, 8, 4), np.uint8)), r"alpha channel: pass images\[..., :3\]"),
    "int64": (lambda: genjax.dataset(IMAGES.astype(np.int64)), r"images is int64; pass images.astype\(np.uint8\)"),
    "objects": (lambda: genjax.dataset(np.array([IMAGES[0], None], object)), r"Python objects.*pass np.stack"),
    "complex": (lambda: genjax.dataset(FLOATS.astype(complex)), "complex128; pass uint8 values"),
    "too few": (lambda: genjax.dataset(IMAGES[:2]), "2 are too few.*pass at least 3 images"),
    "a fraction of 5": (lambda: genjax.dataset(IMAGES, test=5.0), "test=5.0 must be a fraction above 0"),
    "label counts": (
        lambda: genjax.dataset(IMAGES, LABELS[:-1]),
        r"\(59,\); there are 60 images, pass one",
    ),
    "one-hot labels": (lambda: genjax.dataset(IMAGES, np.eye(3)[LABELS]), r"labels.argmax\(axis=1\)"),
    "labels of floats": (lambda: genjax.dataset(IMAGES, LABELS / 2), r"labels is float64; pass integers from 0 on"),
    "negative labels": (lambda: genjax.dataset(IMAGES, LABELS - 1), "from -1 to 1; number the classes from 0 on"),
    "captions count": (
        lambda: genjax.dataset(IMAGES, captions=["a"]),
        "1 for 60 images; pass a text for each",
    ),
    "wordless caption": (
        lambda: genjax.dataset(IMAGES, captions=["a"] * 59 + ["!"]),
        r"captions\[59\].*one word",
    ),
    "colours to be binary": (lambda: genjax.dataset(COLOURS, binarization="static"), "use binarization='none'"),
    "a known set that is split again": (
        lambda: genjax.dataset("digits", validation=0.3, test=0.1),
        "images='digits' is a data set with labels and splits of its own; leave out validation, test",
    ),
    "a directory for arrays": (
        lambda: genjax.dataset(IMAGES, data_dir=Path("/data")),
        "data_dir='/data' is for data sets by name; leave it out for arrays",
    ),
    "three held-out arrays": (lambda: genjax.dataset(IMAGES, test=(IMAGES, LABELS, LABELS)), "a tuple of two"),
    "captions and separate images": (
        lambda: genjax.dataset(IMAGES, captions=["a"] * COUNT, test=IMAGES[:9]),
        "test: images that are given separately have no captions; pass all images with their captions",
    ),
    "a path as text": (lambda: genjax.text_dataset("my.txt"), "pass the text itself"),
    "grey for nade": (
        lambda: genjax.train(model_of("nade"), grey(), steps=1),
        r'needs pixels of 0 and 1.*genjax.dataset\(images, binarization="static"\)',
    ),
    "grey for nade, evaluated": (
        lambda: genjax.evaluate(model_of("nade"), state_of("nade"), grey().test),
        "needs pixels of 0 and 1",
    ),
    "other levels": (
        lambda: genjax.train(genjax.pixel_cnn(SHAPE, features=4, blocks=1, levels=4), grey(), steps=1),
        r"needs pixels of 4 levels.*genjax.dataset\(images, levels=4\)",
    ),
    "another shape": (
        lambda: genjax.train(genjax.vae((4, 4, 1), **FEW), grey(), steps=1),
        r"shape \(8, 8, 1\) and the model is for \(4, 4, 1\); make the model with data.image_shape",
    ),
    "no labels": (
        lambda: genjax.train(model_of("stargan"), genjax.dataset(IMAGES), steps=2),
        r"label: the model needs it; pass class numbers: genjax.dataset\(images, labels\)",
    ),
    "too few classes": (
        lambda: genjax.train(genjax.stargan(SHAPE, filters=2, blocks=0, discriminator_filters=2), grey(), steps=5),
        "knows 0 to 1; make the model with classes=data.classes",
    ),
    "generator never updated": (
        lambda: genjax.train(genjax.stargan(SHAPE, filters=2, blocks=0, discriminator_filters=2), grey(), steps=1),
        "'generator' first updates its networks in step 5; take at least",
    ),
    "images that never grow": (
        lambda: genjax.train(genjax.progressive_gan(SHAPE), grey(), steps=2000),
        r"steps=2000: .* full size after 100001; take at least that many, or .*growth=genjax.Growth",
    ),
    "no steps": (lambda: genjax.train(model_of("vae"), grey(), steps=0), "steps=0 must be at least 1"),
    "a batch too large": (
        lambda: genjax.train(model_of("vae"), grey(), steps=1, batch_size=99),
        "must be from 1 to 48",
    ),
    "no direction": (
        lambda: genjax.train(model_of("vae"), grey(), steps=9, best=genjax.Best("elbo_nats", "highest")),
        "best: better='highest' must be 'min' or 'max'",
    ),
    "no evaluation": (
        lambda: genjax.train(model_of("vae"), grey(), steps=9, best=genjax.Best("elbo_nats", "max", every=0)),
        "best: every=0 must be at least 1",
    ),
    "no count": (lambda: genjax.sample(model_of("vae"), state_of("vae")), "say how many samples"),
    "nothing to transform": (lambda: genjax.sample(model_of("stargan"), state_of("stargan"), 4), "pass image=images"),
    "no target": (
        lambda: genjax.sample(model_of("stargan"), state_of("stargan"), image=IMAGES[:2]),
        "label: the model needs it; pass labels=",
    ),
    "labels for a model without classes": (
        lambda: batch_of(genjax.vae(SHAPE, **FEW), Given(labels=[7, 9]), None),
        "labels: this model reads none; leave them out",
    ),
    "an unknown category": (
        lambda: batch_of(genjax.infogan(SHAPE, categories=3), Given(labels=[2, 7]), None),
        "label: has values from 2 to 7 and the model knows 0 to 2",
    ),
    "a prompt for images": (lambda: genjax.sample(model_of("vae"), state_of("vae"), 4, prompt="a"), "models of texts"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_refused_with_what_to_do(name):
    make, message = MISUSE[name]
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
        make()


def test_infogan_trains_on_labels_that_are_no_categories_of_its_code():
    model = genjax.infogan(SHAPE, categories=2)
    assert "label" in check_examples(model, grey().train)
    assert model.conditions["label"].values == "classes-2"


def test_characters_of_another_text_are_refused():
    model = genjax.char_rnn("abc", hidden=2, layers=1)
    with pytest.raises(ValueError, match=r"genjax.char_rnn\(data.vocabulary\)"):
        genjax.train(model, genjax.text_dataset(TEXT), steps=1)
    with pytest.raises(ValueError, match=r"its \d+ characters are not the 3 of the model"):
        genjax.evaluate(model, state_of("nade"), genjax.text_dataset(TEXT).test)
