"""Outputs of jobs: their frames, derained alone or beside the rainy ones, and their writer."""

import os
import time
from dataclasses import replace
from typing import Any

import numpy as np

from rainclear.frame import Frame
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.options import JobOptions
from rainclear.video import VideoInfo, VideoReader, VideoWriter
from rainclear.video.part import Cut

__all__ = ["OutputFrames", "open_output", "output_size", "side_by_side"]


class OutputFrames:
    """Makes the frame to write of each frame read, in order.

    Args:
        derainer: Takes the rain out, and keeps its state from frame to frame.
        compare: Show rainy | derained side by side.

    Attributes:
        seconds: Wall time that the network worked.
    """

    def __init__(self, derainer: Derainer, *, compare: bool) -> None:
        self._derainer, self._compare = derainer, compare
        self.seconds = 0.0

    def __call__(self, frame: Frame) -> Frame:
        """The frame to write; its time stamp is that of ``frame``."""
        begun = time.perf_counter()
        (derained,) = self._derainer.stream([frame])
        self.seconds += time.perf_counter() - begun
        if not self._compare:
            return derained
        both = side_by_side(frame.pixels, derained.pixels, frame.rotation)
        return replace(derained, pixels=both)


def side_by_side(rainy: Any, derained: Any, rotation: int) -> Any:
    """Both pictures as stored, so that a player that turns them shows rainy | derained."""
    turns = rotation // 90
    shown = np.concatenate([np.rot90(rainy, turns), np.rot90(derained, turns)], axis=1)
    return np.ascontiguousarray(np.rot90(shown, -turns))


def output_size(info: VideoInfo, *, compare: bool) -> tuple[int, int]:
    """Width and height of the output as stored, by the source and whether both are shown."""
    turned = info.rotation % 180 == 90
    return (
        info.width * (2 if compare and not turned else 1),
        info.height * (2 if compare and turned else 1),
    )


def open_output(
    path: str | os.PathLike[str],
    template: VideoInfo | VideoReader,
    options: JobOptions,
    *,
    threads: int = 0,
    cut: Cut | None = None,
) -> VideoWriter:
    """The writer of an output; see :class:`rainclear.VideoWriter` for arguments and errors."""
    info = template.info if isinstance(template, VideoReader) else template
    width, height = output_size(info, compare=options.compare)
    return VideoWriter(
        path,
        template=template,
        width=width,
        height=height,
        codec=options.encode.codec,
        crf=options.encode.crf,
        preset=options.encode.speed,
        overwrite=options.overwrite,
        threads=threads,
        cut=cut,
    )
