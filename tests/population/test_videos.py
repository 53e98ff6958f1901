"""VideoPopulation: files of every kind, what is damaged, cameras of an imitated OpenCV."""

import builtins
import importlib
import sys
import types
import warnings

import numpy as np
import pytest

import weightsharing as ws

pytestmark = pytest.mark.python_only

Image = pytest.importorskip("PIL.Image")

MOVIE = np.random.default_rng(3).integers(0, 256, (5, 6, 8, 3), dtype=np.uint8)
GREYS = MOVIE[:, :, :, 0]


def population(*geometry, batch=None):
    network = ws.Network(dtype="float64", batch=batch)
    video = ws.VideoPopulation(geometry, network=network)
    network.compile("reference")
    return video


def shown(video, steps):
    rates = []
    for _ in range(steps):
        video.network.step()
        rates.append(video.r)
    return np.array(rates)


def save(frames, path, **options):
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [("movie.png", {}), ("movie.tif", {}), ("movie.webp", {"lossless": True}), ("movie.gif", {})],
)
@pytest.mark.parametrize("geometry", [(6, 8), (6, 8, 1), (6, 8, 3)])
def test_animations(name, options, geometry, tmp_path):
    if name.endswith("webp") and not Image.registered_extensions().get(".webp"):
        pytest.skip("this Pillow knows no WebP")
    # A GIF keeps 256 colours: greys are exact.
    frames = GREYS if name.endswith("gif") else MOVIE
    path = save(frames, tmp_path / name, **options)
    video = population(*geometry)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        video.set_movie(path)
    pictures = [Image.fromarray(frame).convert("RGB" if geometry[2:] == (3,) else "L") for frame in frames]
    expected = np.array([np.asarray(one).reshape(geometry) for one in pictures]) / 255.0
    np.testing.assert_array_equal(shown(video, 6), expected[[0, 1, 2, 3, 4, 4]])
    video.network.reset()
    np.testing.assert_array_equal(shown(video, 3), expected[:3])
    video.network.reset()
    np.testing.assert_array_equal(video.network.run(str(path), output=video), expected)


def test_slow_and_repeated_files(tmp_path):
    video = population(6, 8)
    video.set_movie(save(GREYS, tmp_path / "movie.gif"), every=2.0, loop=True)
    np.testing.assert_array_equal(shown(video, 14), GREYS[np.arange(14) // 2 % 5] / 255.0)


def test_a_still_image_is_a_movie_of_one_frame(tmp_path):
    Image.fromarray(GREYS[0]).save(tmp_path / "still.bmp")
    video = population(6, 8)
    video.set_movie(tmp_path / "still.bmp")
    np.testing.assert_array_equal(shown(video, 2), GREYS[[0, 0]] / 255.0)


@pytest.mark.parametrize("kind", ["folder", "list", "tuple of str"])
def test_image_files_one_by_one(kind, tmp_path):
    for number, frame in enumerate(MOVIE):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    (tmp_path / ".hidden").write_bytes(b"no image")
    (tmp_path / "0").mkdir()
    files = [tmp_path / f"{number}.png" for number in range(5)]
    movie = {"folder": tmp_path, "list": files, "tuple of str": tuple(map(str, files))}[kind]
    video = population(6, 8, 3)
    video.set_movie(movie)
    np.testing.assert_array_equal(shown(video, 5), MOVIE / 255.0)
    np.testing.assert_array_equal(video.network.run(movie, output=video), MOVIE / 255.0)


def test_another_size_is_resized_with_one_warning(tmp_path):
    path = save(GREYS, tmp_path / "movie.gif")
    video = population(3, 4)
    with pytest.warns(UserWarning, match=r"6 rows and 8 columns.*resized.*\(6, 8\)") as record:
        video.set_movie(path)
    assert len(record) == 1 and record[0].filename == __file__
    resized = [np.asarray(Image.fromarray(one).resize((4, 3), Image.Resampling.BICUBIC)) for one in GREYS]
    np.testing.assert_array_equal(shown(video, 5), np.array(resized) / 255.0)


def test_arrays_of_pixels(tmp_path):
    video = population(6, 8, 3)
    for values in (MOVIE, MOVIE.astype(np.uint16) * 257, MOVIE / 255.0, iter(MOVIE)):
        video.set_movie(values)
        np.testing.assert_array_equal(shown(video, 5), MOVIE / 255.0)
    with pytest.raises(TypeError, match=r"int64.*uint8"):
        video.set_movie(MOVIE.astype(int))
    video.set_movie(iter(MOVIE.astype(int)))
    with pytest.raises(ws.MovieError, match=r"frame 0.*int64"):
        video.network.step()
    several = population(6, 8, batch=2)
    results = several.network.run(np.stack([GREYS, GREYS[::-1]], axis=1), output=several)
    np.testing.assert_array_equal(results[:, 1], GREYS[::-1] / 255.0)


def test_single_images(tmp_path):
    Image.fromarray(GREYS[0]).save(tmp_path / "still.png")
    video = population(6, 8)
    assert isinstance(video, ws.ImagePopulation) and isinstance(video, ws.MoviePopulation)
    video.set_image(tmp_path / "still.png")
    np.testing.assert_array_equal(shown(video, 2), GREYS[[0, 0]] / 255.0)


@pytest.mark.parametrize("geometry", [(8,), 8, (6, 8, 2)])
def test_refused_geometries(geometry):
    with pytest.raises(ValueError, match="height, width"):
        ws.VideoPopulation(geometry, network=ws.Network())


def refused(movie, error, words):
    video = population(6, 8)
    video.set_movie(GREYS)
    for use in (video.set_movie, video.network.run):
        with pytest.raises(error, match=words):
            use(movie)
    np.testing.assert_array_equal(shown(video, 2), GREYS[:2] / 255.0)


def test_files_that_are_refused(tmp_path):
    refused(tmp_path / "absent.gif", FileNotFoundError, r"no file.*absent\.gif")
    refused(tmp_path, ValueError, "no files")
    (tmp_path / "text.gif").write_bytes(b"no image")
    refused(tmp_path / "text.gif", ValueError, r"text\.gif.*cannot be read.*OpenCV")
    refused(str(tmp_path / "text.gif"), ValueError, "cannot be read")
    refused(tmp_path, ValueError, "cannot be read")
    Image.fromarray(GREYS[0]).save(tmp_path / "one.png")
    refused([tmp_path / "one.png", tmp_path / "two.png"], FileNotFoundError, r"two\.png")
    refused([tmp_path / "one.png", GREYS[0]], TypeError, "path")
    refused([tmp_path / "one.png", tmp_path], ValueError, "not a file")
    Image.fromarray(GREYS[0, :5]).save(tmp_path / "small.png")
    refused([tmp_path / "one.png", tmp_path / "small.png"], ValueError, r"small\.png' has 5 rows.*alike")


@pytest.mark.parametrize("name", ["movie.gif", "movie.png", "movie.tif"])
@pytest.mark.parametrize("kept", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_truncated_files(name, kept, tmp_path):
    frames = np.random.default_rng(9).integers(0, 256, (6, 40, 50), dtype=np.uint8)
    path = save(frames, tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    video = population(40, 50)
    with pytest.raises(ValueError, match="cannot be read"):
        video.network.run(path)
    assert video.network.time == 0.0
    try:
        video.set_movie(path)
    except ValueError as error:
        assert "cannot be read" in str(error)
        return
    with pytest.raises(ws.MovieError, match="cannot be read"):
        video.network.simulate(6)
    assert video.network.time == 0.0 and not video.r.any()


def test_pages_of_different_sizes(tmp_path):
    pages = [Image.fromarray(GREYS[0]), Image.fromarray(GREYS[1, :5])]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    video = population(6, 8)
    video.set_movie(tmp_path / "pages.tif")
    video.network.step()
    with pytest.raises(ws.MovieError, match=r"frame 1 has 5 rows and 8 columns"):
        video.network.step()
    assert video.network.time == 1.0


def without(monkeypatch, package):
    real_import, real_import_module = builtins.__import__, importlib.import_module

    def refuse(name):
        if name.split(".")[0] == package:
            raise ImportError(f"No module named {package!r}")

    def imported(name, *arguments, **options):
        refuse(name)
        return real_import(name, *arguments, **options)

    def imported_module(name, *arguments):
        refuse(name)
        return real_import_module(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", imported)
    monkeypatch.setattr("weightsharing.population.videos.import_module", imported_module)


def test_without_pillow(monkeypatch, tmp_path):
    path = save(GREYS, tmp_path / "movie.gif")
    without(monkeypatch, "PIL")
    refused(path, ImportError, r"weightsharing\[images\]")


def test_without_opencv(monkeypatch):
    without(monkeypatch, "cv2")
    with pytest.raises(ImportError, match="opencv-python-headless"):
        population(6, 8).start_camera()


# --- An imitated OpenCV ---


class Capture:
    """What cv2.VideoCapture does: blue, green, red; nothing at the end."""

    alive = 0

    def __init__(self, source):
        self.frames = [np.ascontiguousarray(frame[:, :, ::-1]) for frame in MOVIE[:3]]
        self.opened = source in (0, 1) or str(source).endswith(".mp4")
        Capture.alive += 1

    def isOpened(self):
        return self.opened

    def read(self):
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def release(self):
        Capture.alive -= 1


@pytest.fixture
def opencv(monkeypatch):
    module = types.ModuleType("cv2")
    module.VideoCapture = Capture
    monkeypatch.setitem(sys.modules, "cv2", module)
    Capture.alive = 0


@pytest.mark.usefixtures("opencv")
def test_videos_are_read_with_opencv(tmp_path):
    path = tmp_path / "movie.mp4"
    path.write_bytes(b"imitated")
    video = population(6, 8, 3)
    video.set_movie(path, loop=True)
    np.testing.assert_array_equal(shown(video, 5), MOVIE[[0, 1, 2, 0, 1]] / 255.0)
    np.testing.assert_array_equal(video.network.run(path, output=video), MOVIE[:3] / 255.0)
    (tmp_path / "movie.xyz").write_bytes(b"unknown")
    refused(tmp_path / "movie.xyz", ValueError, "neither by Pillow nor by OpenCV")


@pytest.mark.usefixtures("opencv")
def test_cameras():
    video = population(6, 8, 3)
    with pytest.raises(ws.StateError, match="start_camera"):
        video.grab_image()
    with pytest.raises(OSError, match="camera 7 cannot be opened"):
        video.start_camera(7)
    with pytest.raises(TypeError, match="camera_port"):
        video.start_camera("front")
    assert Capture.alive == 0
    video.start_camera(0)
    video.start_camera(1)
    assert Capture.alive == 1
    for frame in MOVIE[:3]:
        video.grab_image()
        video.network.step()
        np.testing.assert_array_equal(video.r, frame / 255.0)
    with pytest.raises(OSError, match="no image"):
        video.grab_image()
    np.testing.assert_array_equal(video.r, MOVIE[2] / 255.0)
    video.release()
    video.release()
    assert Capture.alive == 0


@pytest.mark.usefixtures("opencv")
def test_cameras_of_another_size_are_resized_silently():
    video = population(3, 4, 1)
    video.start_camera()
    video.grab_image()
    grey = Image.fromarray(MOVIE[0]).convert("L").resize((4, 3), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(video.r[:, :, 0], np.asarray(grey) / 255.0)
