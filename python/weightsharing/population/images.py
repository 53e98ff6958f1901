"""Populations whose rates are images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..checks.arrays import real_array
from ..checks.porting import ported
from ..checks.shapes import Array, Shape
from .model import Model
from .population import Population

if TYPE_CHECKING:
    from PIL.Image import Image


class ImagePopulation(Population):
    """Population that holds an image: rates in [0, 1], black to white.

    Parameters
    ----------
    geometry : tuple of int
        ``(height, width)`` or ``(height, width, 1)`` for grey images, ``(height, width, 3)`` for colour
        (red, green, blue). The geometry asked for is kept.
    name, dtype, network
        As for `Population`.

    Raises
    ------
    ValueError
        If the geometry is not one of the three.
    """

    @ported
    def __init__(
        self,
        geometry: Sequence[int],
        name: str | None = None,
        dtype: DTypeLike | None = None,
        network: Model | None = None,
    ) -> None:
        shape = tuple(geometry) if isinstance(geometry, Sequence) else (geometry,)
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3)):
            raise ValueError(
                f"ImagePopulation: geometry is {geometry!r}; expected (height, width) or (height, width, 1) "
                "for grey images, (height, width, 3) for colour."
            )
        super().__init__(shape, name=name, dtype=dtype, network=network)

    def set_image(self, path: str | os.PathLike[str]) -> None:
        """Load an image file into the rates, scaled to [0, 1]; of an animation, the first frame.

        The file's mode is converted to grey (ITU-R 601 luma) or RGB as the geometry asks; transparency is
        dropped. 8-bit values are divided by 255 and 16-bit grey values by 65535; floating-point files are
        taken as they are, in whatever range. Pixels are taken as they lie in the file: a rotation that it only
        notes (EXIF) is not applied. An image of another size is resized bicubically with a warning. Needs Pillow.

        Parameters
        ----------
        path : str or path
            Image file of any format that Pillow reads.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not an image, is damaged, or has a mode without a known range. The rates stay as
            they were, as after every error.
        ImportError
            If Pillow is not installed.

        Warns
        -----
        UserWarning
            If the size of the image differs from the geometry.
        """
        picture = read_picture(path, "set_image")
        size = (picture.height, picture.width)
        if size != self.geometry[:2]:
            warnings.warn(
                resized_message(f"set_image: {os.fspath(path)!r}", size, self.geometry), stacklevel=2
            )
        self.r = picture_rates(picture, self.geometry, f"set_image: {os.fspath(path)!r}")

    def set_array(self, array: ArrayLike) -> None:
        """Take an image from an array.

        Parameters
        ----------
        array : array_like
            Shape of the geometry; for grey images (height, width) and (height, width, 1) are both accepted.
            Floating-point and boolean values are taken as they are (no scaling, no clipping), uint8 is
            divided by 255 and uint16 by 65535.

        Raises
        ------
        ValueError
            If the shape is another one, or a nested list is ragged.
        TypeError
            If the values are of another type: a plain integer array does not tell which value is white.
        """
        values = real_array("set_array: the array", array)
        shapes = {self.geometry}
        if self.geometry[2:] != (3,):
            shapes = {self.geometry[:2], (*self.geometry[:2], 1)}
        if values.shape not in shapes:
            raise ValueError(
                f"set_array: the array has shape {values.shape}; expected "
                f"{' or '.join(map(str, sorted(shapes)))}. Crop or resize it, or use set_image."
            )
        self.r = scaled("set_array: the array", values).astype(np.float64).reshape(self.geometry)


def scaled(name: str, values: Array) -> Array:
    """Return pixel values as rates: uint8 divided by 255, uint16 by 65535, others as they are.

    Raises
    ------
    TypeError
        If they are of a type that does not tell which value is white.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return values / float(np.iinfo(values.dtype).max)
    if values.dtype.kind not in "fb":
        raise TypeError(
            f"{name} has dtype {values.dtype}; expected floating-point rates, uint8 (divided by 255), uint16 "
            "(divided by 65535) or bool. Convert it with .astype."
        )
    return values


def pillow(reader: str) -> ModuleType:
    """Return Pillow's module, or raise an ImportError that names what reads with it."""
    try:
        import PIL.Image  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise ImportError(
            f"{reader} reads files with Pillow, which is not installed: pip install weightsharing[images]. "
            "Arrays are taken without it."
        ) from error
    return PIL.Image


def read_picture(path: str | os.PathLike[str], reader: str) -> Image:
    """Read an image file, of an animation the first frame.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If there is no such file, or it is not an image or damaged; `reader` is named in the message.
    """
    module, file = pillow(reader), existing_file(path, reader)
    with damaged_file(path, reader), module.open(file) as opened:
        picture: Image = opened.copy()
        picture.format = opened.format  # a copy has none
        return picture


def existing_file(path: str | os.PathLike[str], reader: str) -> Path:
    """Return the path of a file that is there, or raise TypeError, FileNotFoundError or ValueError."""
    try:
        file = Path(path)
    except TypeError:
        raise TypeError(
            f"{reader}: path is {path!r} ({type(path).__name__}); expected the path of an image file. "
            "set_array takes arrays."
        ) from None
    if not file.exists():
        raise FileNotFoundError(f"{reader}: there is no file {os.fspath(path)!r}.")
    if not file.is_file():
        raise ValueError(f"{reader}: {os.fspath(path)!r} is not a file; expected an image file.")
    return file


@contextmanager
def damaged_file(path: str | os.PathLike[str], reader: str) -> Iterator[None]:
    """Turn what Pillow raises for a damaged file into ValueError: its decoders raise errors of many types."""
    try:
        yield
    except PermissionError:
        raise
    except Exception as error:
        raise ValueError(
            f"{reader}: {os.fspath(path)!r} cannot be read as an image: {error}. "
            "The file is damaged, or of a format that Pillow does not know."
        ) from error


def resized_message(where: str, size: tuple[int, int], geometry: Shape) -> str:
    """What is said about a picture of another size (height, width)."""
    return (
        f"{where} has {size[0]} rows and {size[1]} columns, the population {geometry[0]} and {geometry[1]}; the "
        f"image is resized. Choose the geometry {(*size, *geometry[2:])} to keep its pixels."
    )


def picture_rates(picture: Image, geometry: Shape, where: str) -> Array:
    """Return the rates (\\*geometry), float64, of a picture: grey or RGB as the geometry asks, resized.

    Raises
    ------
    ValueError
        If the mode has no known range, or cannot be converted; `where` begins the message.
    """
    module = pillow(where)
    height, width, *channels = geometry
    picture, white = _convert(module, picture, colour=channels == [3], where=where)
    if picture.size != (width, height):
        picture = picture.resize((width, height), module.Resampling.BICUBIC)
    values = np.asarray(picture, dtype=np.float64)
    if white is not None:
        # Bicubic interpolation overshoots at edges; Pillow itself clips 8-bit images only.
        values = np.clip(values / white, 0.0, 1.0)
    if channels == [3] and values.ndim == 2:
        values = np.repeat(values[:, :, np.newaxis], 3, axis=2)
    return values.reshape(geometry)


def _convert(module: ModuleType, picture: Image, colour: bool, where: str) -> tuple[Image, float | None]:
    """Give the picture in mode L, RGB or F, and the value that white has there (None: as it is)."""
    if picture.mode == "F":
        return picture, None
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        # Some versions of Pillow give 16-bit files as 32-bit integers, of formats that have no others.
        if picture.mode == "I" and picture.format not in ("PNG", "PPM"):
            raise ValueError(
                f"{where} holds 32-bit integers (here from {values.min()} to {values.max()}), a range without a "
                "known white. Read it into an array, scale it and use set_array."
            )
        picture = module.fromarray(values.astype(np.float32))
        return picture, 65535.0
    if picture.mode in ("1", "L", "LA"):
        return picture.convert("L"), 255.0
    try:
        # Pillow warns about palettes with transparency unless they pass through RGBA.
        picture = picture.convert("RGBA").convert("RGB") if picture.mode == "P" else picture.convert("RGB")
    except ValueError as error:
        raise ValueError(
            f"{where} has mode {picture.mode}, which Pillow does not convert: "
            f"{error}. Convert the file to RGB first."
        ) from error
    return (picture if colour else picture.convert("L")), 255.0
