"""ImagePopulation: every mode and size of file, arrays, and what is refused."""

import builtins
import warnings

import numpy as np
import pytest

from weightsharing import ImagePopulation, Network

pytestmark = pytest.mark.python_only

Image = pytest.importorskip("PIL.Image")

PIXELS = np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREYS = PIXELS[:, :, 0]


def population(*geometry):
    return ImagePopulation(geometry, network=Network(dtype="float64"))


def load(picture, geometry, path, **options):
    """Save a picture, load it into a population without a warning, and give the rates."""
    picture.save(path, **options)
    image = population(*geometry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image.set_image(path)
    assert image.geometry == tuple(geometry) and image.r.shape == tuple(geometry)
    return image.r


def test_colour_file(tmp_path):
    rates = load(Image.fromarray(PIXELS), (6, 8, 3), tmp_path / "colour.png")
    np.testing.assert_array_equal(rates, PIXELS / 255.0)


def test_float32_is_the_nearest_value(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "colour.png")
    image = ImagePopulation((6, 8, 3), network=Network(dtype="float32"))
    image.set_image(str(tmp_path / "colour.png"))
    np.testing.assert_array_equal(image.r, (PIXELS / 255.0).astype(np.float32))


@pytest.mark.parametrize("geometry", [(6, 8), (6, 8, 1)])
def test_grey_geometry_is_kept_and_takes_grey_and_colour_files(geometry, tmp_path):
    rates = load(Image.fromarray(GREYS), geometry, tmp_path / "grey.png")
    np.testing.assert_array_equal(rates, GREYS.reshape(geometry) / 255.0)
    picture = Image.fromarray(PIXELS)
    luma = load(picture, geometry, tmp_path / "colour.png")
    np.testing.assert_array_equal(luma, np.asarray(picture.convert("L")).reshape(geometry) / 255.0)
    weighted = PIXELS @ [0.299, 0.587, 0.114] / 255.0
    np.testing.assert_allclose(luma.reshape(6, 8), weighted, atol=1.01 / 255)


def test_grey_file_fills_three_channels(tmp_path):
    rates = load(Image.fromarray(GREYS), (6, 8, 3), tmp_path / "grey.png")
    for channel in range(3):
        np.testing.assert_array_equal(rates[:, :, channel], GREYS / 255.0)


def test_one_bit_file(tmp_path):
    bits = GREYS > 127
    for geometry in [(6, 8), (6, 8, 3)]:
        rates = load(Image.fromarray(bits), geometry, tmp_path / "bits.png")
        np.testing.assert_array_equal(rates.reshape(6, 8, -1)[:, :, 0], bits.astype(float))


@pytest.mark.parametrize("transparency", [None, 0, b"\x00\x80\xff"])
def test_palette_file(transparency, tmp_path):
    palette = np.array([[255, 0, 0], [10, 200, 30], [0, 0, 90], [255, 255, 255]], dtype=np.uint8)
    index = np.arange(48, dtype=np.uint8).reshape(6, 8) % 4
    picture = Image.fromarray(index)
    picture.putpalette(palette.tobytes())
    assert picture.mode == "P"
    options = {} if transparency is None else {"transparency": transparency}
    rates = load(picture, (6, 8, 3), tmp_path / "palette.png", **options)
    np.testing.assert_array_equal(rates, palette[index] / 255.0)
    grey = load(picture, (6, 8), tmp_path / "palette.png", **options)
    np.testing.assert_array_equal(grey, np.asarray(Image.fromarray(palette[index]).convert("L")) / 255.0)


def test_transparency_is_dropped(tmp_path):
    alpha = np.full((6, 8, 1), 40, dtype=np.uint8)
    colour = load(Image.fromarray(np.concatenate([PIXELS, alpha], 2)), (6, 8, 3), tmp_path / "rgba.png")
    np.testing.assert_array_equal(colour, PIXELS / 255.0)
    grey = Image.fromarray(np.stack([GREYS, alpha[:, :, 0]], 2))
    assert grey.mode == "LA"
    np.testing.assert_array_equal(load(grey, (6, 8), tmp_path / "la.png"), GREYS / 255.0)
    np.testing.assert_array_equal(load(grey, (6, 8, 3), tmp_path / "la.png")[:, :, 2], GREYS / 255.0)


@pytest.mark.parametrize(("mode", "name"), [("CMYK", "image.tif"), ("YCbCr", "image.tif"), ("HSV", None)])
def test_other_colour_spaces(mode, name, tmp_path, monkeypatch):
    picture = Image.fromarray(PIXELS).convert(mode)
    expected = np.asarray(picture.convert("RGB")) / 255.0
    if name is None:  # a mode that only code, not a file, hands out
        name = "image.png"
        Image.fromarray(PIXELS).save(tmp_path / name)
        monkeypatch.setattr(Image, "open", lambda path: picture)
        image = population(6, 8, 3)
        image.set_image(tmp_path / name)
        np.testing.assert_array_equal(image.r, expected)
    else:
        np.testing.assert_array_equal(load(picture, (6, 8, 3), tmp_path / name), expected)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
@pytest.mark.parametrize("geometry", [(6, 8), (6, 8, 1), (6, 8, 3)])
def test_sixteen_bits_keep_their_precision(name, geometry, tmp_path):
    deep = np.random.default_rng(5).integers(0, 65536, (6, 8), dtype=np.uint16)
    deep[0, :2] = 0, 65535
    rates = load(Image.fromarray(deep), geometry, tmp_path / name)
    np.testing.assert_array_equal(rates.reshape(6, 8, -1)[:, :, -1], deep / 65535.0)


def test_floating_point_file_is_taken_as_it_is(tmp_path):
    values = np.linspace(-1.0, 3.0, 48, dtype=np.float32).reshape(6, 8)
    np.testing.assert_array_equal(load(Image.fromarray(values), (6, 8), tmp_path / "float.tif"), values)


def test_lossy_file(tmp_path):
    smooth = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    rates = load(Image.fromarray(smooth), (48, 64, 3), tmp_path / "photo.jpg", quality=95)
    np.testing.assert_allclose(rates, smooth / 255.0, atol=0.02)


@pytest.mark.parametrize("geometry", [(12, 5, 3), (3, 4), (7, 8, 1)])
def test_another_size_is_resized_bicubically_with_a_warning(geometry, tmp_path):
    picture = Image.fromarray(PIXELS)
    picture.save(tmp_path / "colour.png")
    image = population(*geometry)
    with pytest.warns(UserWarning, match="6 rows and 8 columns.*resized") as record:
        image.set_image(tmp_path / "colour.png")
    assert record[0].filename == __file__
    picture = picture if geometry[2:] == (3,) else picture.convert("L")
    expected = np.asarray(picture.resize(geometry[1::-1], Image.Resampling.BICUBIC)) / 255.0
    np.testing.assert_array_equal(image.r, expected.reshape(geometry))


def test_palette_and_bits_are_interpolated_as_colours(tmp_path):
    bits = np.zeros((4, 8), dtype=bool)
    bits[:, 4:] = True
    Image.fromarray(bits).save(tmp_path / "bits.png")
    image = population(8, 16)
    with pytest.warns(UserWarning):
        image.set_image(tmp_path / "bits.png")
    assert np.any((image.r > 0.05) & (image.r < 0.95))


def test_resized_sixteen_bits_stay_in_range(tmp_path):
    deep = np.zeros((4, 8), dtype=np.uint16)
    deep[:, 4:] = 65535
    Image.fromarray(deep).save(tmp_path / "deep.png")
    image = population(8, 16)
    with pytest.warns(UserWarning):
        image.set_image(tmp_path / "deep.png")
    assert image.r.min() == 0.0 and image.r.max() == 1.0
    coarse = Image.fromarray((deep // 257).astype(np.uint8)).resize((16, 8), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(image.r, np.asarray(coarse) / 255.0, atol=1 / 255)


def test_a_warning_turned_into_an_error_changes_nothing(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "colour.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unchanged(population(5, 5, 3), UserWarning, "resized", tmp_path / "colour.png")


def unchanged(image, error, words, path):
    before = np.random.default_rng(1).random(image.geometry)
    image.r = before
    with pytest.raises(error, match=words):
        image.set_image(path)
    np.testing.assert_array_equal(image.r, before)


def test_missing_file(tmp_path):
    unchanged(population(6, 8), FileNotFoundError, "no file.*absent.png", tmp_path / "absent.png")


def test_folder(tmp_path):
    unchanged(population(6, 8), ValueError, "not a file", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"P5\n6 8\n255\n12"])
def test_no_image(content, tmp_path):
    (tmp_path / "file.png").write_bytes(content)
    unchanged(population(6, 8), ValueError, "file.png", tmp_path / "file.png")


@pytest.mark.parametrize("name", ["file.png", "file.jpg", "file.gif", "file.tif", "file.bmp", "file.ppm"])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.9])
def test_truncated_file(name, kept, tmp_path):
    pixels = np.random.default_rng(9).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    path = tmp_path / name
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    unchanged(population(60, 80, 3), ValueError, "cannot be read as an image", path)


@pytest.mark.parametrize("value", [255, 70_000])
def test_integers_without_a_known_white(tmp_path, value):
    Image.fromarray(np.full((6, 8), value, dtype=np.int32)).save(tmp_path / "wide.tif")
    unchanged(population(6, 8), ValueError, f"{value}.*set_array", tmp_path / "wide.tif")


def test_path_of_a_wrong_type():
    unchanged(population(6, 8), TypeError, "path is 3", 3)
    unchanged(population(6, 8), TypeError, "path", PIXELS)


def test_without_pillow(monkeypatch, tmp_path):
    real = builtins.__import__

    def without_pillow(name, *arguments, **options):
        if name.split(".")[0] == "PIL":
            raise ImportError("No module named 'PIL'")
        return real(name, *arguments, **options)

    Image.fromarray(PIXELS).save(tmp_path / "colour.png")
    monkeypatch.setattr(builtins, "__import__", without_pillow)
    unchanged(
        population(6, 8, 3), ImportError, r"pip install .*weightsharing\[images\]", tmp_path / "colour.png"
    )


@pytest.mark.parametrize("geometry", [(8,), 8, (6, 8, 2), (6, 8, 4), (6, 8, 3, 1), ()])
def test_refused_geometries(geometry):
    with pytest.raises(ValueError, match="height, width"):
        ImagePopulation(geometry, network=Network())


@pytest.mark.parametrize("geometry", [(0, 8), (-6, 8, 3)])
def test_geometries_are_checked_as_every_population_is(geometry):
    with pytest.raises(ValueError, match="geometry"):
        ImagePopulation(geometry, network=Network())


@pytest.mark.parametrize("geometry", [(6, 8), (6, 8, 1)])
@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 1)])
def test_grey_arrays(geometry, shape):
    image = population(*geometry)
    image.set_array(GREYS.reshape(shape))
    np.testing.assert_array_equal(image.r, GREYS.reshape(geometry) / 255.0)


def test_arrays_of_every_accepted_type():
    image = population(6, 8, 3)
    image.set_array(PIXELS[:, ::-1])
    np.testing.assert_array_equal(image.r, PIXELS[:, ::-1] / 255.0)
    image.set_array((PIXELS * np.uint16(257)).astype(">u2"))
    np.testing.assert_array_equal(image.r, PIXELS / 255.0)
    for dtype in (np.float16, np.float32, np.float64):
        values = (PIXELS / 64.0 - 1.0).astype(dtype)
        image.set_array(values)
        np.testing.assert_array_equal(image.r, values)
    image.set_array((PIXELS > 100).tolist())
    np.testing.assert_array_equal(image.r, (PIXELS > 100).astype(float))


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (PIXELS[:5], ValueError, r"shape \(5, 8, 3\).*\(6, 8, 3\)"),
        (GREYS, ValueError, r"shape \(6, 8\)"),
        (PIXELS.transpose(2, 0, 1), ValueError, r"\(3, 6, 8\)"),
        (PIXELS.astype(int), TypeError, "int64.*uint8"),
        (PIXELS.astype(complex), TypeError, "complex"),
        (PIXELS.astype(object), TypeError, "object"),
        (PIXELS.astype(str), TypeError, "<U"),
        ([[0.0, 1.0], [0.5]], ValueError, "ragged"),
    ],
)
def test_refused_arrays_change_nothing(array, error, words):
    image = population(6, 8, 3)
    image.set_array(PIXELS)
    with pytest.raises(error, match=words):
        image.set_array(array)
    np.testing.assert_array_equal(image.r, PIXELS / 255.0)
