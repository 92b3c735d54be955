"""Rain on files: to try deraining, or any perception code, where no rainy footage is at hand."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rainclear.frame import Frame
from rainclear.rain.clip import RainClip, RainParams, RainyFrame
from rainclear.video import VideoReader, VideoWriter, is_image, read_image, write_image

__all__ = ["rain_on_file", "rain_on_frame"]

Float = npt.NDArray[np.float32]


def rain_on_frame(rain: RainClip, frame: Frame) -> tuple[Frame, RainyFrame]:
    """Rain on the next frame of a clip.

    Returns:
        The frame with rain, uint8 or uint16 as before, and its ground truth.
    """
    scale = 255 if frame.pixels.dtype == np.uint8 else 65535
    truth = rain(frame.pixels.astype(np.float32) / np.float32(scale))
    rainy = np.rint(truth.rainy * scale).astype(frame.pixels.dtype)
    return replace(frame, pixels=rainy), truth


def rain_on_file(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    params: RainParams,
    *,
    seed: int = 0,
    masks: bool = False,
    crf: float = 14,
    overwrite: bool = False,
    on_frame: Callable[[int, int | None], None] = lambda done, total: None,
) -> int:
    """Rain on a video or picture; sound, time stamps and colours are kept.

    Args:
        source: A video or picture.
        output: The file to write, of the same kind.
        params: The rain, see :func:`rainclear.rain.presets.preset`.
        seed: Seed of the rain: the same file, seed and parameters give the same pixels.
        masks: Also write the soft masks of streaks and drops beside ``output``, as grey files
            named ``*.streaks.*`` and ``*.drops.*``.
        crf: Quality of a video; lower is better.
        overwrite: Whether existing files may be replaced.
        on_frame: Called after every frame with the number done and the number expected.

    Returns:
        The number of frames.

    Raises:
        InputError: The source cannot be read.
        OutputError: An output exists or cannot be written.
    """
    output = Path(output)
    outputs = [output] + [_beside(output, kind) for kind in ("streaks", "drops") if masks]
    if is_image(source):
        frame = read_image(source)
        height, width = frame.pixels.shape[:2]
        rained, truth = rain_on_frame(RainClip(params, height, width, seed=seed), frame)
        pictures = [rained.pixels, _grey(truth.streak_mask), _grey(truth.drop_mask)]
        for path, pixels in zip(outputs, pictures, strict=False):
            write_image(path, pixels, overwrite=overwrite)
        return 1
    with VideoReader(source) as reader:
        info = reader.info
        rain = RainClip(params, info.height, info.width, seed=seed)
        writers: list[VideoWriter] = []
        try:
            for path in outputs:
                writers.append(
                    VideoWriter(
                        path,
                        template=reader,
                        crf=crf,
                        preset="veryfast",
                        overwrite=overwrite,
                        keep_streams=path == output,
                    )
                )
            for frame in reader:
                rained, truth = rain_on_frame(rain, frame)
                pictures = [rained.pixels, _grey(truth.streak_mask), _grey(truth.drop_mask)]
                for writer, pixels in zip(writers, pictures, strict=False):
                    writer.write(replace(rained, pixels=pixels))
                on_frame(writers[0].frames, info.frames)
            for writer in writers:
                writer.close()
        finally:
            for writer in writers:
                writer.abort()  # harmless once closed
    return writers[0].frames


def _beside(output: Path, kind: str) -> Path:
    return output.with_name(f"{output.stem}.{kind}{output.suffix}")


def _grey(mask: Float) -> npt.NDArray[np.uint8]:
    levels = np.rint(mask * 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)
