"""Where results go: annotated video or picture, JSON lines, COCO JSON, MOT text, a window."""

import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from rainclear.detection.coco import COCO_IDS_91, COCO_NAMES
from rainclear.errors import OutputError
from rainclear.pipeline.draw import annotate, side_by_side
from rainclear.pipeline.result import Result
from rainclear.pipeline.screen import no_screen
from rainclear.pipeline.spec import VideoSpec, WindowSpec
from rainclear.pipeline.track import TrackedDetections
from rainclear.video import VideoInfo, VideoWriter, is_image, write_image
from rainclear.video.partial import PartialFile, output_errors

__all__ = ["CocoSink", "JsonlSink", "MotSink", "ResultSink", "VideoSink", "WindowSink"]

_COCO_NUMBERS = {index: number for number, index in COCO_IDS_91.items()}
_DIGITS = 4
_ESCAPE = 27
_NO_TRACK = -1
_NO_WINDOW = (
    "no window can be opened here{why}; use another sink, such as --set sinks.window=null "
    "--set sinks.video.path=out.mp4"
)


class ResultSink(Protocol):
    """Takes results one by one; what it writes appears when it is closed."""

    notes: list[str]

    def write(self, result: Result) -> None:
        """Take the next result."""
        ...

    def close(self) -> None:
        """Finish: files get their names."""
        ...

    def abort(self) -> None:
        """Give up and leave nothing behind; harmless after :meth:`close`."""
        ...


class VideoSink:
    """The annotated frames as a video, or as a picture where the name is that of one.

    Raises:
        OutputError: See :class:`rainclear.VideoWriter`.
    """

    def __init__(self, path: Path, spec: VideoSpec, info: VideoInfo, *, overwrite: bool) -> None:
        self._path, self._spec, self._overwrite = path, spec, overwrite
        self.notes: list[str] = []
        self._writer: VideoWriter | None = None
        self._picture: Any = None
        if is_image(path) != is_image(info.path):
            kind = "picture" if is_image(info.path) else "video"
            raise OutputError(f"{path}: the source is a {kind}; give the name of a {kind}")
        if is_image(path):
            PartialFile(path, overwrite=overwrite, source=info.path).discard()
            return
        self._writer = VideoWriter(
            path,
            template=info,
            width=info.width * (2 if spec.side_by_side else 1),
            codec=spec.codec,
            crf=spec.crf,
            preset=spec.preset or ("veryfast" if spec.codec in ("libx264", "libx265") else None),
            overwrite=overwrite,
            keep_streams=info.path.is_file(),
        )

    def write(self, result: Result) -> None:
        """Draw and encode the next frame."""
        draw = side_by_side if self._spec.side_by_side else annotate
        pixels: Any = draw(result, boxes=self._spec.boxes)
        if self._writer is None:
            self._picture = pixels
        else:
            self._writer.write(replace(result.frame, pixels=pixels))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
            self.notes += self._writer.notes
        elif self._picture is not None:
            write_image(self._path, self._picture, overwrite=self._overwrite)

    def abort(self) -> None:
        """Leave no file behind."""
        if self._writer is not None:
            self._writer.abort()


class _TextSink:
    """A text file that appears when it is complete."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.notes: list[str] = []
        self._file = PartialFile(path, overwrite=overwrite)
        with output_errors(path):
            self._text = self._file.partial.open("w", encoding="utf-8")

    def _put(self, text: str) -> None:
        with output_errors(self._file.path):
            self._text.write(text)

    def close(self) -> None:
        """Finish the file."""
        with output_errors(self._file.path):
            self._text.close()
        self._file.commit()

    def abort(self) -> None:
        """Leave no file behind."""
        with suppress(OSError):
            self._text.close()
        self._file.discard()


class JsonlSink(_TextSink):
    """One line of JSON a frame: rain, objects, and how many of them were won and lost."""

    def write(self, result: Result) -> None:
        """Write the next line."""
        frame, change = result.frame, result.won_and_lost()
        line: dict[str, Any] = {"frame": frame.index, "pts": frame.pts, "time": frame.time}
        if result.reading is not None:
            line |= {k: _rounded(v) for k, v in result.reading.as_dict().items()}
        if change is not None:
            line |= {"won": int(change.won.sum()), "lost": int(change.lost.sum())}
        line["objects"] = _objects(result)
        self._put(json.dumps(line) + "\n")


def _objects(result: Result) -> list[dict[str, Any]]:
    found = result.detections
    objects: list[dict[str, Any]] = []
    for i, (box, score, number) in enumerate(
        zip(found.xyxy.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    ):
        one = {
            "class": number,
            "name": COCO_NAMES[number],
            "score": _rounded(score),
            "xyxy": [round(v, 2) for v in box],
        }
        if isinstance(found, TrackedDetections):
            one["track"] = int(found.ids[i])
        objects.append(one)
    return objects


def _rounded(value: Any) -> Any:
    return round(value, _DIGITS) if isinstance(value, float) else value


class CocoSink(_TextSink):
    """COCO JSON: ``images`` (a frame each), ``annotations`` with scores, ``categories``.

    Category numbers are COCO's own, 1..90 with gaps; image numbers are frame numbers from 1. Frames
    of a video are named as if they lay in a folder of its name: ``drive/000001.jpg``. Objects have
    a ``track_id`` where they belong to a track.
    """

    def __init__(self, path: Path, info: VideoInfo, *, overwrite: bool) -> None:
        super().__init__(path, overwrite=overwrite)
        self._info = info
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def write(self, result: Result) -> None:
        """Keep the objects of the next frame."""
        frame = result.frame
        height, width = frame.pixels.shape[:2]
        image = {
            "id": frame.index + 1,
            "file_name": _image_name(self._info.path, frame.index),
            "width": width,
            "height": height,
            "frame": frame.index,
        }
        self._images.append(image)
        for one in _objects(result):
            left, top, right, bottom = one["xyxy"]
            box = [left, top, round(right - left, 2), round(bottom - top, 2)]
            annotation = {
                "id": len(self._annotations) + 1,
                "image_id": frame.index + 1,
                "category_id": _COCO_NUMBERS[one["class"]],
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
                "score": one["score"],
            }
            if one.get("track", _NO_TRACK) != _NO_TRACK:
                annotation["track_id"] = one["track"]
            self._annotations.append(annotation)

    def close(self) -> None:
        """Write everything."""
        categories = [{"id": _COCO_NUMBERS[i], "name": name} for i, name in enumerate(COCO_NAMES)]
        data = {
            "images": self._images,
            "annotations": self._annotations,
            "categories": categories,
        }
        self._put(json.dumps(data) + "\n")
        super().close()


def _image_name(source: Path, index: int) -> str:
    return source.name if is_image(source) else f"{source.stem}/{index + 1:06d}.jpg"


class MotSink(_TextSink):
    """MOT Challenge: ``frame,id,left,top,width,height,score,-1,-1,-1``, frames and ids from 1.

    Where nothing is tracked, all boxes have the number -1, as detections do in that format. Where a
    tracker runs, boxes without a track are left out: in the format of tracks, a number stands for
    one object of a frame.
    """

    def write(self, result: Result) -> None:
        """Write the lines of the next frame."""
        for one in _objects(result):
            if one.get("track") == _NO_TRACK:
                continue
            left, top, right, bottom = one["xyxy"]
            self._put(
                f"{result.frame.index + 1},{one.get('track', _NO_TRACK)},{left:.2f},{top:.2f},"
                f"{right - left:.2f},{bottom - top:.2f},{one['score']:.4f},-1,-1,-1\n"
            )


class WindowSink:
    """Shows frames in a window; used in the caller's thread, as window systems ask for.

    Raises:
        OutputError: There is no screen, as far as the environment tells, or it does not answer.
    """

    def __init__(self, spec: WindowSpec, *, compare: bool) -> None:
        # OpenCV's window system ends the whole process where there is no screen.
        if sys.platform == "linux" and (why := no_screen()) is not None:
            raise OutputError(_NO_WINDOW.format(why=why))
        self._spec, self._draw = spec, side_by_side if compare else annotate
        self.notes: list[str] = []

    def show(self, result: Result) -> bool:
        """Show a frame; ``False`` when the user wants to end.

        Raises:
            OutputError: There is no screen.
        """
        bgr = cv2.cvtColor(np.asarray(self._draw(result)), cv2.COLOR_RGB2BGR)
        try:
            cv2.imshow(self._spec.title, bgr)
            return cv2.waitKey(1) & 0xFF not in (ord("q"), _ESCAPE)
        except cv2.error as error:
            raise OutputError(_NO_WINDOW.format(why="")) from error

    def close(self) -> None:
        """Close the window."""
        with suppress(cv2.error):
            cv2.destroyWindow(self._spec.title)
