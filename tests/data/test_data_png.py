import io
import itertools
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from genjax.data.png import decode_png


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(lines: np.ndarray, shape, *, pieces: int = 1) -> bytes:
    """A PNG file of filtered scanlines [H, 1 + W * C], its data in several pieces."""
    header = struct.pack(">IIBBBBB", shape[1], shape[0], 8, {1: 0, 3: 2}[shape[2]], 0, 0, 0)
    data = zlib.compress(lines.tobytes())
    cuts = np.linspace(0, len(data), pieces + 1).astype(int)
    body = b"".join(chunk(b"IDAT", data[a:b]) for a, b in itertools.pairwise(cuts))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tEXt", b"a\0b") + body + chunk(b"IEND", b"")


def pil(data: bytes, shape) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(data))).reshape(shape)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_filter_decodes_as_pil_does(channels):
    shape, random = (10, 7, channels), np.random.default_rng(0)
    files = []
    for pieces in (1, 2, 3):
        lines = random.integers(0, 256, (10, 1 + 7 * channels), dtype=np.uint8)
        lines[:, 0] = random.permutation(np.repeat(np.arange(5), 2))
        files.append(png(lines, shape, pieces=pieces))
    np.testing.assert_array_equal(decode_png(files, shape), [pil(file, shape) for file in files])


def saved(image: PIL.Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(("mode", "kind"), [("L", "JPEG"), ("RGB", "PNG"), ("P", "PNG"), ("1", "PNG"), ("I;16", "PNG")])
def test_what_is_no_plain_png_of_the_shape_is_left_to_others(mode, kind):
    assert decode_png([saved(PIL.Image.new(mode, (4, 4)), kind)], (4, 4, 1)) is None


def test_other_sizes_and_channels_are_left_to_others():
    grey = saved(PIL.Image.new("L", (4, 5)), "PNG")
    assert decode_png([grey], (4, 5, 1)) is None
    assert decode_png([grey], (5, 4, 2)) is None
    assert decode_png([grey], (5, 4, 1)).shape == (1, 5, 4, 1)


def test_damaged_files_raise():
    whole = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match="15 bytes, not 20"):
        decode_png([png(whole[:3], (4, 4, 1))], (4, 4, 1))
    with pytest.raises(ValueError, match="filter type 9"):
        decode_png([png(whole + 9, (4, 4, 1))], (4, 4, 1))
    file = png(whole, (4, 4, 1))
    with pytest.raises((ValueError, zlib.error)):
        decode_png([file[:-20] + bytes(20)], (4, 4, 1))
