import numpy as np
import pytest
from PIL import Image

from genjax.data.captions import Vocabulary, captioned_folder, decode, encode, vocabulary_of, words

VOCABULARY = Vocabulary(("a", "red", "seven"), 4)


def test_words_are_lower_case_and_without_punctuation():
    assert words("A red, SEVEN -- it's 7!  ") == ["a", "red", "seven", "it's", "7"]


def test_a_vocabulary_is_sorted_and_as_long_as_the_longest_caption():
    assert vocabulary_of(["a seven", "A red seven, a red seven!"]) == Vocabulary(("a", "red", "seven"), 6)
    assert VOCABULARY.size == 5
    with pytest.raises(ValueError, match="captions: hold no word"):
        vocabulary_of(["...", ""])


def test_captions_become_word_numbers_and_back():
    rows = encode(["A red seven.", "seven blue"], VOCABULARY)
    np.testing.assert_array_equal(rows, [[2, 3, 4, 0], [4, 1, 0, 0]])
    assert [decode(row, VOCABULARY) for row in rows] == ["a red seven", "seven ?"]


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("blue three", "caption 'blue three': none of its words is known; known are a, red, seven"),
        ("", "none of its words is known"),
        ("a red red red seven", "has 5 words, must have at most 4"),
    ],
)
def test_what_cannot_be_encoded_is_named(caption, message):
    with pytest.raises(ValueError, match=message):
        encode([caption], VOCABULARY)


def images_in(folder, captions):
    for index, (name, text) in enumerate(captions.items()):
        Image.fromarray(np.full((4, 4, 3), index, np.uint8)).save(folder / f"{name}.png")
        if text is not None:
            (folder / f"{name}.txt").write_bytes(text)


def test_a_folder_has_the_captions_beside_its_images(tmp_path):
    texts = {name: f"picture {name}\n\n".encode() for name in "abcdef"} | {"g": b"one\ntwo\nthree"}
    images_in(tmp_path, texts)
    source, vocabulary = captioned_folder(tmp_path)
    found = {}
    for split in (source.train, source.validation, source.test):
        for row in range(split.size):
            example = split.read(np.array([row]))
            assert example["caption"].shape == (1, 3, 2)
            captions = [decode(caption, vocabulary) for caption in example["caption"][0]]
            found["abcdefg"[example["image"].flat[0]]] = captions
    assert found == {name: [f"picture {name}"] * 3 for name in "abcdef"} | {"g": ["one", "two", "three"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, r"b\.txt: no such file; .* of b\.png"), (b"\xff", r"b\.txt must be UTF-8"), (b" .\n", r"b\.txt holds no")],
)
def test_captions_that_are_missing_or_unreadable_are_named(tmp_path, text, message):
    images_in(tmp_path, {"a": b"one", "b": text, "c": b"three"})
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        captioned_folder(tmp_path)
