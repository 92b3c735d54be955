"""Rain on files: to try deraining, or any perception code, where no rainy footage is at hand."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rainclear.frame import Frame
from rainclear.rain.clip import RainClip, RainParams, RainyFrame
from rainclear.rain.record import RainRecord
from rainclear.video import VideoReader, VideoWriter, is_image, read_image, write_image
from rainclear.video.partial import PartialFile, output_errors

__all__ = ["beside", "pair_folders_of", "rain_on_file", "rain_on_frame"]

Float = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_TRUTH = ("drop-only", "streaks", "drops")
_HALVES = ("left", "right")


def rain_on_frame(rain: RainClip, frame: Frame) -> tuple[Frame, RainyFrame]:
    """Rain on the next frame of a clip.

    Returns:
        The frame with rain, uint8 or uint16 as before, and its ground truth.
    """
    scale = 255 if frame.pixels.dtype == np.uint8 else 65535
    truth = rain(frame.pixels.astype(np.float32) / np.float32(scale))
    rainy = np.rint(truth.rainy * scale).astype(frame.pixels.dtype)
    return replace(frame, pixels=rainy), truth


def beside(output: Path, *, masks: bool = False, dual_pixel: bool = False) -> dict[str, Path]:
    """Files around one rainy file: ``NAME.streaks.EXT`` and so on, and ``NAME.rain.json``."""
    kinds = [*(_TRUTH if masks else ()), *(_HALVES if dual_pixel else ())]
    names = {kind: output.with_name(f"{output.stem}.{kind}{output.suffix}") for kind in kinds}
    return {"rain": output, **names, "meta": output.with_name(f"{output.stem}.rain.json")}


def pair_folders_of(
    root: Path, relative: Path, *, masks: bool = False, dual_pixel: bool = False
) -> dict[str, Path]:
    """Files of one source in a folder of pairs: ``rain/NAME``, ``clean/NAME`` and so on.

    Pictures become PNG, so that nothing but the rain tells a pair's two halves apart.
    """
    name = relative.with_suffix(".png") if is_image(relative) else relative
    kinds = ["rain", "clean", *(_TRUTH if masks else ()), *(_HALVES if dual_pixel else ())]
    files = {kind: root / kind / name for kind in kinds}
    return {**files, "meta": root / "meta" / name.with_suffix(".json")}


def rain_on_file(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | Mapping[str, Path],
    params: RainParams | Callable[[int], RainParams],
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
        output: The file to write, of the same kind; or a file for each of ``rain``, ``clean``,
            ``drop-only``, ``streaks``, ``drops`` (soft masks, grey), ``left``, ``right`` (halves of
            a dual-pixel sensor) and ``meta`` (see :class:`RainRecord`) that is wanted, as
            :func:`beside` and :func:`pair_folders_of` name them. Folders are made.
        params: The rain, see :func:`rainclear.rain.presets.preset`, or what gives it for a height.
        seed: Seed of the rain: the same file, seed and parameters give the same pixels.
        masks: With a single ``output``, also write what :func:`beside` names.
        crf: Quality of a video; lower is better.
        overwrite: Whether existing files may be replaced.
        on_frame: Called after every frame with the number done and the number expected.

    Returns:
        The number of frames.

    Raises:
        InputError: The source cannot be read.
        OutputError: An output exists or cannot be written.
    """
    if isinstance(output, Mapping):
        outputs = dict(output)
        for path in outputs.values():
            with output_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
    else:
        output = Path(output)
        outputs = beside(output, masks=True) if masks else {"rain": output}
    dual = any(kind in outputs for kind in _HALVES)
    meta = outputs.pop("meta", None)

    def start(height: int, width: int, rate: Fraction | None = None) -> RainClip:
        rain = params if isinstance(params, RainParams) else params(height)
        if rate:
            rain = replace(rain, optics=replace(rain.optics, fps=float(rate)))
        return RainClip(rain, height, width, seed=seed, dual_pixel=dual)

    with ExitStack() as stack:
        record = PartialFile(meta, overwrite=overwrite) if meta else None
        if record:
            stack.callback(record.discard)
        if is_image(source):
            rain = _rain_on_picture(source, outputs, start, overwrite=overwrite)
            frames = 1
        else:
            rain, frames = _rain_on_video(
                source, outputs, start, crf=crf, overwrite=overwrite, on_frame=on_frame
            )
        if record:
            with output_errors(record.path):
                text = json.dumps(RainRecord.of(rain).to_json(), indent=1)
                record.partial.write_text(text + "\n", encoding="utf-8")
            record.commit()
    return frames


def _rain_on_picture(
    source: str | os.PathLike[str],
    outputs: Mapping[str, Path],
    start: Callable[[int, int], RainClip],
    *,
    overwrite: bool,
) -> RainClip:
    frame = read_image(source)
    rain = start(*frame.pixels.shape[:2])
    pictures = _pictures(*rain_on_frame(rain, frame), clean=frame)
    for kind, path in outputs.items():
        write_image(path, pictures(kind), overwrite=overwrite)
    return rain


def _rain_on_video(
    source: str | os.PathLike[str],
    outputs: Mapping[str, Path],
    start: Callable[[int, int, Fraction | None], RainClip],
    *,
    crf: float,
    overwrite: bool,
    on_frame: Callable[[int, int | None], None],
) -> tuple[RainClip, int]:
    outputs = dict(outputs)
    clean = outputs.pop("clean", None)
    with VideoReader(source) as reader, ExitStack() as stack:
        rain = start(reader.info.height, reader.info.width, reader.info.rate)
        if clean is not None:  # the video itself, not another generation of it
            copy = PartialFile(clean, overwrite=overwrite, source=Path(source))
            stack.callback(copy.discard)
            with output_errors(clean):
                shutil.copyfile(source, copy.partial)
        writers = {}
        for kind, path in outputs.items():
            writers[kind] = VideoWriter(
                path,
                template=reader,
                crf=crf,
                preset="veryfast",
                overwrite=overwrite,
                keep_streams=kind == "rain",
            )
            stack.callback(writers[kind].abort)  # harmless once closed
        frames = 0
        for frame in reader:
            rained, truth = rain_on_frame(rain, frame)
            pictures = _pictures(rained, truth, clean=frame)
            for kind, writer in writers.items():
                writer.write(replace(rained, pixels=pictures(kind)))
            frames += 1
            on_frame(frames, reader.info.frames)
        for writer in writers.values():
            writer.close()
        if clean is not None:
            copy.commit()
    return rain, frames


def _pictures(rained: Frame, truth: RainyFrame, *, clean: Frame) -> Callable[[str], Pixels]:
    """The picture of a kind, made when asked for; masks are grey, 255 = rain."""

    def levels(picture: Float) -> Pixels:
        pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)

    def picture(kind: str) -> Pixels:
        if kind == "rain":
            return rained.pixels
        if kind == "clean":
            return clean.pixels
        if kind in _HALVES:
            half = truth.left if kind == "left" else truth.right
            assert half is not None
            return levels(half)
        of = {
            "drop-only": truth.drop_only,
            "streaks": truth.streak_mask,
            "drops": truth.drop_mask,
        }
        return levels(of[kind])

    return picture
