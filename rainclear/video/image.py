"""Single pictures through OpenCV."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rainclear.errors import InputError, OutputError
from rainclear.frame import ColorDescription, Frame
from rainclear.video.animation import is_animated_webp
from rainclear.video.partial import PartialFile, output_errors

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "is_image", "is_video", "read_image", "write_image"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"}
    | {".flv", ".wmv", ".3gp", ".nut", ".h264", ".hevc"}
)
_DEEP_SUFFIXES = frozenset({".png", ".tif", ".tiff"})
JPEG_QUALITY = 95


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix is that of a picture that can be read and written.

    A WebP file is looked at, if it is there: one that moves is a video.
    """
    return Path(path).suffix.lower() in IMAGE_SUFFIXES and not is_animated_webp(path)


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix is that of a video, or a WebP file is there that moves."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES or is_animated_webp(path)


def read_image(path: str | os.PathLike[str]) -> Frame:
    """Read one picture, upright as its EXIF orientation says.

    Returns:
        A frame without time stamp, H×W×3 RGB, uint8, or uint16 for deeper files. Grey becomes RGB
        and an alpha channel is dropped.

    Raises:
        InputError: Missing, a directory, unreadable, or not a picture of 8 or 16 bits.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a picture")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        # Decoded from memory, as OpenCV's own file access fails on some non-ASCII names.
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise InputError(f"{path}: cannot be decoded: {error.err}") from error
    if pixels is None:
        raise InputError(f"{path}: not a picture, or damaged")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: has {pixels.dtype} samples; convert it to 8 or 16 bits")
    name = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
    color = ColorDescription(matrix=0, range=2, pixel_format=name)
    return Frame(pixels=cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), color=color)


def write_image(
    path: str | os.PathLike[str], rgb: npt.NDArray[Any], *, overwrite: bool = False
) -> None:
    """Write one picture; the format follows from the suffix.

    Args:
        path: File that appears only when complete.
        rgb: H×W×3, uint8 or uint16 (0..65535). PNG and TIFF keep 16 bits, others are rounded to 8.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: Unknown suffix, the file exists, or the folder or disk does not take it.
        ValueError: Shape or dtype of ``rgb`` is another.
    """
    path = Path(path)
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"HxWx3 uint8 or uint16 is needed, not {rgb.shape} {rgb.dtype}")
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise OutputError(f"{path}: unknown kind of picture; use one of {known}")
    if rgb.dtype == np.uint16 and suffix not in _DEEP_SUFFIXES:
        rgb = ((rgb.astype(np.uint32) + 128) // 257).astype(np.uint8)
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix in (".jpg", ".jpeg") else []
    try:
        done, data = cv2.imencode(suffix, bgr, quality)
    except cv2.error as error:
        raise OutputError(f"{path}: cannot be encoded: {error.err}") from error
    if not done:
        raise OutputError(f"{path}: cannot be encoded as {suffix}")
    file = PartialFile(path, overwrite=overwrite)
    try:
        with output_errors(path):
            file.partial.write_bytes(data.tobytes())
        file.commit()
    finally:
        file.discard()
