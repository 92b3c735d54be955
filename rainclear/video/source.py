"""Opens a video file, or says in one line why it cannot be opened."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from rainclear.errors import InputError
from rainclear.video.animation import animation_as_video, is_animated_webp

__all__ = ["main_video_stream", "open_source", "packets_of", "url_of", "video_stream"]

# FFmpeg "plays" text files as terminal art.
_NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf"}
_CUT = (
    "{path}: the file is cut off and has no index (moov); "
    "it cannot be played: copy it again from its source"
)


def url_of(path: str | os.PathLike[str]) -> str:
    """Name for FFmpeg; the prefix keeps a colon in a file name from being read as a protocol."""
    return f"file:{os.fspath(path)}"


def open_source(
    path: str | os.PathLike[str], *, stream: int | None = None
) -> tuple[InputContainer, VideoStream]:
    """Open a file and find its video.

    Args:
        path: The file.
        stream: Index of the video among all streams of the file; ``None`` for the main one.

    Returns:
        The container, which the caller closes, and the stream.

    Raises:
        InputError: Missing, a directory, empty, unreadable, cut off, or without such a video.
    """
    path = Path(path)
    _check_readable(path)
    try:
        # Tags in odd encodings are no reason to refuse a video.
        file = animation_as_video(path) if is_animated_webp(path) else url_of(path)
        container = av.open(file, "r", metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise InputError(_reason(path, error)) from error
    try:
        return container, video_stream(container, path, index=stream)
    except BaseException:
        container.close()
        raise


def packets_of(container: InputContainer, *streams: Stream) -> "Iterator[Packet[Stream]]":
    """All packets of some streams, or of all that are known when the file is opened.

    Others may appear on the way, in transport streams and Flash video. They are passed over: PyAV
    knows nothing of them, and at the end of the file stumbles over them.
    """
    with suppress(IndexError):
        yield from container.demux(*streams)


def main_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The first stream of moving pictures; cover art does not count.

    Raises:
        InputError: There is none, or FFmpeg has no decoder for it.
    """
    if container.format.name in _NOT_VIDEO:
        raise InputError(f"{path}: not a video")
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        if container.streams.audio:
            raise InputError(f"{path}: has sound only, no video stream")
        raise InputError(f"{path}: not a video: it has no video stream")
    for stream in moving:
        if stream.codec_context is not None:
            return stream
    if _has_no_index(path):
        raise InputError(_CUT.format(path=path))
    raise InputError(f"{path}: this build of FFmpeg has no decoder for its video")


def video_stream(container: InputContainer, path: Path, *, index: int | None) -> VideoStream:
    """The video with an index among all streams, or the main one if it is ``None``.

    Raises:
        InputError: There is none, or FFmpeg has no decoder for it.
    """
    if index is None or container.format.name in _NOT_VIDEO:
        return main_video_stream(container, path)
    for stream in container.streams.video:
        if stream.index == index and stream.codec_context is not None:
            return stream
    videos = [_described(stream) for stream in container.streams.video if stream.codec_context]
    if not videos:
        return main_video_stream(container, path)  # which says what is wrong
    others = {stream.index: stream.type for stream in container.streams}
    what = f"is {others[index]}, not video" if index in others else "does not exist"
    raise InputError(f"{path}: stream {index} {what}; its videos are: {', '.join(videos)}")


def _described(stream: VideoStream) -> str:
    context = stream.codec_context
    return f"{stream.index} ({context.name} {context.width}x{context.height})"


def _check_readable(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a video file")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if empty:
        raise InputError(f"{path}: the file is empty")


def _reason(path: Path, error: Exception) -> str:
    if _has_no_index(path):
        return _CUT.format(path=path)
    if isinstance(error, av.error.InvalidDataError | av.error.PermissionError):
        return f"{path}: not a video, or damaged beyond reading"
    if isinstance(error, av.error.EOFError):
        return f"{path}: the video has no frames: the file ends after its head"
    if getattr(error, "errno", None) == errno.EIO:
        return f"{path}: cannot be read: the file is damaged, or the disk that it is on"
    return f"{path}: cannot be opened: {getattr(error, 'strerror', None) or error}"


def _has_no_index(path: Path) -> bool:
    """Whether this is an MP4 or MOV file whose boxes end before the index that they need."""
    seen: set[bytes] = set()
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 0
        while position + 8 <= size:
            file.seek(position)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if not seen and kind not in (b"ftyp", b"wide", b"mdat", b"free", b"skip"):
                return False
            if kind == b"moov" and position + length > size:
                return True
            seen.add(kind)
            if length < 8:
                break
            position += length
    return b"mdat" in seen and b"moov" not in seen
