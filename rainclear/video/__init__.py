"""Video and pictures in and out; never imports torch."""

from rainclear.video.image import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    is_image,
    is_video,
    read_image,
    write_image,
)
from rainclear.video.part import Part
from rainclear.video.probe import VideoInfo, probe
from rainclear.video.read import VideoReader
from rainclear.video.report import ReadReport
from rainclear.video.write import VideoWriter

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Part",
    "ReadReport",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "is_image",
    "is_video",
    "probe",
    "read_image",
    "write_image",
]
