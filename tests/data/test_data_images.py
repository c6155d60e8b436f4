"""Images as cameras and tools write them: turned, transparent, animated, linked, damaged; numbered class folders."""

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

import genjax.data.dataset
from genjax.data.dataset import DataError
from genjax.data.files import all_images, folder, header_shape
from genjax.data.load import load_dataset

COLOURS = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)


def read(path):
    named = all_images(path, "test")
    return named.names, named.split.read(np.arange(named.split.size))["image"]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_an_image_is_turned_as_its_exif_tag_says(tmp_path, tag, suffix):
    exif = PIL.Image.Exif()
    exif[0x0112] = tag
    file = tmp_path / f"a.{suffix}"
    PIL.Image.fromarray(COLOURS).save(file, exif=exif, quality=100, subsampling=0)
    with PIL.Image.open(file) as image:
        stored = np.asarray(image)
    # Tag by tag as the Exif standard (JEITA CP-3451, orientation) describes rows and columns.
    turns = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: stored[::-1].swapaxes(0, 1),
        7: stored[::-1, ::-1].swapaxes(0, 1),
        8: stored[:, ::-1].swapaxes(0, 1),
    }
    np.testing.assert_array_equal(read(tmp_path)[1][0], turns[tag])
    assert header_shape(file) == turns[tag].shape


def palette():
    image = PIL.Image.fromarray(COLOURS[..., 0] % 4).convert("P")
    image.putpalette([255, 0, 255, 0, 0, 0, 9, 9, 9, 5, 5, 5])
    return image


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (palette(), {"transparency": 0}),
        (palette(), {"transparency": bytes([0, 255, 128, 255])}),
        (PIL.Image.fromarray(COLOURS[..., 0]), {"transparency": 7}),
        (PIL.Image.fromarray(COLOURS), {"transparency": (255, 0, 255)}),
        (PIL.Image.fromarray(COLOURS).convert("RGBA"), {}),
        (PIL.Image.fromarray(COLOURS[..., 0].astype(np.uint16)), {}),
    ],
)
def test_transparent_and_16_bit_images_are_refused_by_path(tmp_path, image, options):
    image.save(tmp_path / "a.png", **options)
    with pytest.raises(ValueError, match=r"a\.png: image of mode .*, must be one of 1, L, P, RGB"):
        read(tmp_path)


def test_a_cmyk_image_is_refused_by_path(tmp_path):
    PIL.Image.fromarray(COLOURS).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg: image of mode CMYK"):
        read(tmp_path)


def test_an_animation_is_refused_by_path(tmp_path):
    frames = [PIL.Image.fromarray(COLOURS), PIL.Image.fromarray(255 - COLOURS)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"a\.png: holds several images"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["b.webp", "b.GIF", "b.tif"])
def test_an_image_of_another_format_is_not_left_out_without_a_word(tmp_path, name):
    PIL.Image.fromarray(COLOURS).save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(b"some image")
    with pytest.raises(ValueError, match=f"{name} must be a PNG or JPEG image"):
        read(tmp_path)


def test_folders_that_are_links_are_followed_and_odd_names_are_names(tmp_path):
    for index, name in enumerate(("$HOME", "[ab]", "c d")):
        (tmp_path / "there" / name).mkdir(parents=True)
        PIL.Image.fromarray(np.full((2, 2), 50 * index, np.uint8)).save(tmp_path / "there" / name / "1*.png")
    (tmp_path / "here").mkdir()
    for name in ("$HOME", "[ab]", "c d"):
        (tmp_path / "here" / name).symlink_to(tmp_path / "there" / name)
    (tmp_path / "here" / "$HOME" / "again").symlink_to(tmp_path / "here")  # leads back to itself
    names, image = read(tmp_path / "here")
    assert [name.rpartition("here/")[2] for name in names] == ["$HOME/1*.png", "[ab]/1*.png", "c d/1*.png"]
    assert sorted(set(image[:, 0, 0, 0])) == [0, 50, 100]


def test_class_folders_called_by_numbers_are_sorted_as_numbers(tmp_path):
    for number in range(12):
        (tmp_path / str(number)).mkdir()
        for copy in range(3):
            image = np.full((2, 2), 20 * number, np.uint8)
            PIL.Image.fromarray(image).save(tmp_path / str(number) / f"{copy}.png")
    train = folder(tmp_path).train.arrays
    np.testing.assert_array_equal(train["label"] * 20, train["image"][:, 0, 0, 0])


def test_an_image_that_is_cut_off_is_named_when_it_is_read_during_training(tmp_path, monkeypatch):
    monkeypatch.setattr(genjax.data.dataset, "IN_MEMORY_BYTES", 100)
    for number in range(10):
        PIL.Image.fromarray(COLOURS).save(tmp_path / f"{number}.png")
    content = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(content[: len(content) // 2])
    data = load_dataset(str(tmp_path), binarization="none")
    splits = (data.train, data.validation, data.test)
    with pytest.raises(DataError, match=r"3\.png: cannot be read as a PNG or JPEG image"):
        [split.read(np.arange(split.size)) for split in splits]


def test_a_turn_that_only_xmp_tells_is_known_from_the_header(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    info = PIL.PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    PIL.Image.fromarray(COLOURS).save(tmp_path / "a.png", pnginfo=info)
    np.testing.assert_array_equal(read(tmp_path)[1][0], COLOURS[::-1].swapaxes(0, 1))


def test_class_folders_of_equal_numbers_are_two_classes(tmp_path):
    for name in ("1", "01", "2"):
        (tmp_path / name).mkdir()
        PIL.Image.fromarray(COLOURS).save(tmp_path / name / "a.png")
    splits = folder(tmp_path)
    assert {int(one.arrays["label"][0]) for one in (splits.train, splits.validation, splits.test)} == {0, 1, 2}
