import hashlib
from pathlib import Path

import numpy as np
import pytest

from genjax.data.text import DESCRIPTIONS, code_points, decode, encode, load_text

TEXT = "Zoë saw 𝄞 twice.\r\n" * 10


def test_the_descriptions_are_those_of_scikit_learn():
    import sklearn

    text = load_text("descriptions")
    folder = Path(sklearn.__file__).parent / "datasets/descr"
    whole = "".join((folder / f"{name}.rst").read_text("utf-8") for name in DESCRIPTIONS)
    assert text.train + text.validation + text.test == whole
    assert text.sha256 == hashlib.sha256(whole.encode()).hexdigest()
    assert len(whole) > 40_000
    assert len(text.validation) == len(text.test) == len(whole) // 20


def test_tiny_shakespeare_is_karpathys_file(tfds_dir):
    text = load_text("tiny_shakespeare", data_dir=tfds_dir)
    assert [len(part) for part in (text.train, text.validation, text.test)] == [1_003_854, 55_770, 55_770]
    assert len(text.vocabulary) == 65
    assert (text.train + text.validation + text.test).count("\n") == 40_000
    assert text.train.startswith("First Citizen:\nBefore we proceed any further")


def test_a_file_is_cut_in_three_and_keeps_its_line_ends(tmp_path):
    path = tmp_path / "own.txt"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    text = load_text("descriptions", file=path)
    assert text.name == "own"
    assert text.train + text.validation + text.test == TEXT
    assert [len(part) for part in (text.train, text.validation, text.test)] == [162, 9, 9]


def test_a_text_survives_its_integers():
    vocabulary = "".join(sorted(set(TEXT)))
    indices = encode(TEXT, vocabulary)
    assert decode(indices, vocabulary) == TEXT
    assert set(indices.tolist()) == set(range(len(vocabulary)))
    assert code_points("a𝄞").tolist() == [97, 0x1D11E]
    assert encode("", vocabulary).shape == (0,)


def test_the_vocabulary_has_every_character_of_all_parts(tmp_path):
    path = tmp_path / "late.txt"
    path.write_text("a" * 95 + "b" * 5)
    text = load_text("descriptions", file=path)
    assert set(text.train) == {"a"}
    assert text.vocabulary == "ab"


def test_characters_outside_the_vocabulary_are_shown():
    with pytest.raises(ValueError, match="characters outside the vocabulary: 'x', 'é'; it is 'abc'"):
        encode("aéxx", "abc")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds 0 characters, needs at least 20"),
        (b"short", "holds 5 characters, needs at least 20"),
        ("Zoë".encode("latin-1") * 10, "must be UTF-8: byte 2 is not"),
    ],
)
def test_files_that_are_no_text(tmp_path, content, message):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_text("descriptions", file=path)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"text='.*nowhere.txt': no such file"):
        load_text("descriptions", file=tmp_path / "nowhere.txt")


def test_a_set_without_text(tfds_dir):
    with pytest.raises(ValueError, match="dataset='mnist': has no text in its features"):
        load_text("mnist", data_dir=tfds_dir)


def test_integers_of_a_vocabulary_are_its_order():
    np.testing.assert_array_equal(encode("cab", "abc"), [2, 0, 1])
