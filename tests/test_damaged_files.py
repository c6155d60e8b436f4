"""Files that were cut, overwritten or edited: read, or refused by an error that names them; nothing else is raised."""

import io
import random

import numpy as np
import PIL.Image
import pytest

from genjax.data.files import folder, npz
from genjax.data.series import load_series
from genjax.data.text import load_text
from genjax.runs.config import from_json
from genjax.runs.directory import CONFIG, METRICS, RunError, curves, forget_after, read_config, write_json

TRIES = 80
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def encoded(write):
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def rows():
    return "".join(f'{{"step": {5 * n}, "seed": 0, "split": "train", "loss": {1 / n}}}\n' for n in range(1, 30))


def image(path):
    kind = {".png": "PNG", ".jpg": "JPEG"}[path.suffix]
    return encoded(lambda stream: PIL.Image.fromarray(PIXELS).save(stream, kind))


def arrays(path):
    del path
    return encoded(lambda stream: np.savez(stream, image=np.zeros((9, 3, 3), np.uint8), label=np.arange(9)))


def a_config(path):
    options = {"dataset": "digits", "steps": 5, "hidden": 4, "seeds": [0, 1]}
    name = "tests.experiments.toy:toy"
    write_json(path, {"experiment": name, "preset": "quick", "options": options, "groups": [[0, 1]]})
    return path.read_bytes()


FILES = {
    "a.png": (image, lambda path: folder(path.parent)),
    "a.jpg": (image, lambda path: folder(path.parent)),
    "a.npz": (arrays, npz),
    "a.npy": (lambda path: encoded(lambda stream: np.save(stream, np.arange(40.0))), load_series),
    "a.csv": (lambda path: ("day,value\n" + "".join(f"{n},{n / 7}\n" for n in range(40))).encode(), load_series),
    "a.txt": (lambda path: ("the quick brown fox é " * 20).encode(), lambda path: load_text("x", file=path)),
    CONFIG: (a_config, lambda path: from_json(read_config(path.parent))),
    METRICS: (lambda path: rows().encode(), lambda path: (curves(path.parent), forget_after(path.parent, (0,), 50))),
}
"""Name of a file -> its content, and what reads it."""


def damaged(content, rng):
    """The content cut off, with bytes changed, inserted, removed or repeated."""
    data = bytearray(content)
    first = rng.randrange(len(data))
    length = rng.randrange(1, 40)
    kind = rng.randrange(5)
    if kind == 0:
        del data[first:]
    elif kind == 1:
        data[first] = rng.randrange(256)
    elif kind == 2:
        data[first:first] = rng.randbytes(length)
    elif kind == 3:
        del data[first : first + length]
    else:
        data[first : first + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"nan ", b"1e99", b"null", b"[[[["])
    return bytes(data)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore")  # of libraries, about what they read
def test_a_damaged_file_is_read_or_refused(name, tmp_path):
    make, read = FILES[name]
    content, rng = make(tmp_path / name), random.Random(name)
    for other in ("b", "c"):
        (tmp_path / f"{other}{name[1:]}").write_bytes(content)
    said = []
    for _ in range(TRIES):
        (tmp_path / name).write_bytes(damaged(content, rng))
        try:
            read(tmp_path / name)
        except (ValueError, RunError) as error:
            said.append(str(error))
    assert len(said) < TRIES
    assert bool(said) == (name != METRICS)  # lines that are no rows are left out
    assert name == CONFIG or all(str(tmp_path) in line for line in said)  # commands put the path of the run before it


def test_lines_that_are_no_rows_are_left_out_and_the_others_stay(tmp_path):
    lines = rows().splitlines()
    lines[2:4] = ['{"step": 15, "se', "[1, 2]", '{"step": "x", "seed": 0, "split": "train", "loss": 1}', "\x00"]
    (tmp_path / METRICS).write_text("\n".join(lines) + '\n{"step": 999')
    steps = [step for step, _ in curves(tmp_path)["train: loss"][0]]
    assert steps == [5, 10, *range(25, 150, 5)]
    forget_after(tmp_path, (0,), 30)
    assert [step for step, _ in curves(tmp_path)["train: loss"][0]] == [5, 10, 25, 30]
