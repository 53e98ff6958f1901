"""`VideoPopulation`: movies of images, from files and cameras."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks.errors import StateError
from ..checks.numbers import whole_number
from ..checks.shapes import Array, Shape
from ..state.stream import Stream
from ..state.timetable import Timetable
from .images import (
    ImagePopulation,
    damaged_file,
    existing_file,
    picture_rates,
    pillow,
    resized_message,
    scaled,
)
from .movies import MoviePopulation

if TYPE_CHECKING:
    from PIL.Image import Image


class VideoPopulation(ImagePopulation, MoviePopulation):
    """Population that shows a movie of images: rates in [0, 1], black to white.

    Movies are given by `set_movie` or `Network.run`, single images as to an `ImagePopulation`, those of a
    camera by `start_camera` and `grab_image`.

    Parameters
    ----------
    geometry, name, dtype, network
        As for `ImagePopulation`.
    """

    def set_movie(self, movie: Any, every: float | None = None, loop: bool = False) -> None:
        """Show a movie from the next step on, instead of the one before.

        Parameters
        ----------
        movie : path, sequence of paths, array_like or iterable
            File of an animation (GIF, APNG, WebP, TIFF of several pages; with Pillow) or a video (with
            OpenCV); a folder of image files, shown in the order of their names; a list of image files; or
            frames as for `MoviePopulation`. Pictures are converted and resized as by `set_image`; frames of
            dtype uint8 are divided by 255, uint16 by 65535. Files are read in the course of the run, their
            own timing is ignored.
        every : float, optional
            Time from one frame to the next in ms, a whole number of steps. Default: one step.
        loop : bool
            Whether to begin again after the last frame.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ImportError
            If Pillow is not installed.
        TypeError, ValueError
            If the movie or an argument is not as described, the first picture cannot be read, or files of a
            list differ in size; the movie before stays then. What is found to be damaged later raises
            `MovieError` during the run.

        Warns
        -----
        UserWarning
            If the size of the pictures differs from the geometry.
        """
        super().set_movie(movie, every, loop)

    def _movie(self, movie: Any, every: float, loop: bool) -> Timetable | Stream:
        if _is_files(movie):
            return Stream(MovieFile(movie, self.geometry), every, loop)
        return super()._movie(movie, every, loop)

    def _whole_movie(self, movie: Any) -> Array:
        if _is_files(movie):
            return np.stack([frame.astype(self.dtype) for frame in MovieFile(movie, self.geometry)])
        return super()._whole_movie(movie)

    @staticmethod
    def _as_rates(array: Array) -> Array:
        return scaled("the movie", array)

    # --- Cameras ---

    _camera: Any = None

    def start_camera(self, camera_port: int = 0) -> None:
        """Open a camera. Needs OpenCV.

        Parameters
        ----------
        camera_port : int
            Number of the device.

        Raises
        ------
        ImportError
            If OpenCV is not installed.
        OSError
            If the camera cannot be opened.
        """
        port = whole_number("camera_port", camera_port)
        pillow("start_camera")
        camera = _opencv("start_camera").VideoCapture(port)
        if not camera.isOpened():
            camera.release()
            raise OSError(
                f"start_camera: camera {port} cannot be opened; is it there, and used by nobody else?"
            )
        self.release()
        self._camera = camera

    def grab_image(self) -> None:
        """Take one image from the camera into the rates, converted and resized.

        Raises
        ------
        StateError
            If no camera was started.
        OSError
            If the camera hands over no image; the rates stay as they were.
        """
        if self._camera is None:
            raise StateError("grab_image: no camera is open; call start_camera() first.")
        found, pixels = self._camera.read()
        if not found:
            raise OSError("grab_image: the camera handed over no image.")
        self.r = picture_rates(_from_opencv(pixels), self.geometry, "grab_image")

    def release(self) -> None:
        """Close the camera, if one is open."""
        if self._camera is not None:
            self._camera.release()
            self._camera = None


class MovieFile:
    """Frames of a movie file, or of a list of image files, that can be read again and again.

    Parameters
    ----------
    movie
        Path of a file or folder, or paths of image files.
    geometry
        Of the population: frames are float64 arrays of this shape.

    Raises
    ------
    As `VideoPopulation.set_movie`.
    """

    def __init__(self, movie: Any, geometry: Shape) -> None:
        pillow("movie")
        self._geometry = geometry
        self._files = _listed(movie)
        self._size = self._checked_size()
        if self._size != geometry[:2]:
            message = resized_message(f"movie: {os.fspath(self._files[0])!r}", self._size, geometry)
            warnings.warn(message, stacklevel=5)

    def __iter__(self) -> Iterator[Array]:
        number = 0
        for file in self._files:
            with closing(_pictures(file)) as pictures:
                for picture in pictures:
                    where = f"movie: {os.fspath(file)!r}, frame {number}"
                    if (picture.height, picture.width) != self._size:
                        raise ValueError(
                            f"{where} has {picture.height} rows and {picture.width} columns, the first frame "
                            f"{self._size[0]} and {self._size[1]}; expected all alike."
                        )
                    yield picture_rates(picture, self._geometry, where)
                    number += 1

    def _checked_size(self) -> tuple[int, int]:
        """Height and width of the first picture, after a look at the sizes of all files."""
        with closing(_pictures(self._files[0])) as pictures:
            first = next(pictures, None)
        if first is None:
            raise ValueError(f"movie: {os.fspath(self._files[0])!r} has no frames.")
        for file in self._files[1:]:
            with damaged_file(file, "movie"), pillow("movie").open(file) as opened:
                size = opened.size
            if size != first.size:
                raise ValueError(
                    f"movie: {os.fspath(file)!r} has {size[1]} rows and {size[0]} columns, "
                    f"{os.fspath(self._files[0])!r} {first.height} and {first.width}; expected all alike."
                )
        return first.height, first.width


def _is_files(movie: Any) -> bool:
    paths = (str, os.PathLike)
    return isinstance(movie, paths) or (
        isinstance(movie, Sequence) and len(movie) > 0 and isinstance(movie[0], paths)
    )


def _listed(movie: Any) -> list[Path]:
    """The files of a movie, which are all there."""
    if not isinstance(movie, (str, os.PathLike)):
        return [existing_file(path, "movie") for path in movie]
    if not Path(movie).is_dir():
        return [existing_file(movie, "movie")]
    inside = sorted(one for one in Path(movie).iterdir() if one.is_file() and not one.name.startswith("."))
    if not inside:
        raise ValueError(f"movie: the folder {os.fspath(movie)!r} has no files; expected images.")
    return inside


def _pictures(file: Path) -> Generator[Image, None, None]:
    """The pictures of a file, one by one."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 (optional)

    try:
        with damaged_file(file, "movie"):
            opened = Image.open(file)
    except ValueError as error:
        if not isinstance(error.__cause__, UnidentifiedImageError):
            raise
        yield from _video(file, error.__cause__)
        return
    with opened:
        number = 0
        while True:
            with damaged_file(file, "movie"):
                try:
                    opened.seek(number)
                except EOFError:
                    return
                picture = opened.copy()
            yield picture
            number += 1


def _video(file: Path, unknown: Exception) -> Iterator[Image]:
    """The pictures of a video, read with OpenCV."""
    try:
        video = _opencv("movie").VideoCapture(os.fspath(file))
    except ImportError:
        raise ValueError(
            f"movie: {os.fspath(file)!r} cannot be read: {unknown}. The file is damaged, or of a format that Pillow "
            "does not know; videos are read with OpenCV, which is not installed (pip install "
            "opencv-python-headless)."
        ) from unknown
    try:
        if not video.isOpened():
            raise ValueError(
                f"movie: {os.fspath(file)!r} cannot be read, neither by Pillow nor by OpenCV: it is damaged, or of "
                "an unknown format."
            )
        while True:
            found, pixels = video.read()
            if not found:
                return
            yield _from_opencv(pixels)
    finally:
        video.release()


def _from_opencv(pixels: Array) -> Image:
    """A picture of OpenCV's pixels: grey, or blue, green and red."""
    from PIL import Image  # noqa: PLC0415 (optional)

    return Image.fromarray(pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, ::-1]))


def _opencv(reader: str) -> ModuleType:
    try:
        return import_module("cv2")
    except ImportError as error:
        raise ImportError(
            f"{reader} needs OpenCV, which is not installed: pip install opencv-python-headless."
        ) from error
