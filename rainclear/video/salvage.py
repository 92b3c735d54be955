"""Gets out of a damaged file what a decoder holds back, in the right order."""

from bisect import insort
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path

import av

from rainclear.video.report import Tally
from rainclear.video.source import open_source, packets_of

__all__ = ["frames_after", "in_order"]

# Decoders that lost their reference pictures were seen to be off by two.
DEPTH = 4


def in_order(
    frames: Iterable[av.VideoFrame], damaged: Callable[[], bool]
) -> Generator[av.VideoFrame, None, None]:
    """Sort frames by pts over a window of a few, from the first damage on.

    A decoder that misses pictures gives later frames before earlier ones for a while.

    Args:
        frames: Decoded frames.
        damaged: Says whether damage was met yet; until then frames pass straight through.
    """
    held: list[av.VideoFrame] = []
    for frame in frames:
        if frame.pts is None or not (held or damaged()):
            yield from held
            held.clear()
            yield frame
            continue
        insort(held, frame, key=lambda one: one.pts or 0)
        if len(held) > DEPTH:
            yield held.pop(0)
    yield from held


def frames_after(
    path: Path, pts: int, tally: Tally, *, stream: int | None = None
) -> Iterator[av.VideoFrame]:
    """Decode anew, without threads, from the key frame before ``pts`` and yield what is later.

    A decoder with threads that meets damage while it is being emptied gives up the frames that it
    still holds.

    Args:
        path: The file.
        pts: Stamp of the last frame that was delivered.
        tally: Counts the damaged packets that are met after it.
        stream: Index of the video in the file, if not the main one.
    """
    container, video = open_source(path, stream=stream)
    try:
        video.thread_count = 1
        container.seek(pts, stream=video)
        for packet in packets_of(container, video):
            if packet.is_corrupt:
                continue
            try:
                frames = video.decode(packet)
            except av.FFmpegError:
                tally.corrupt_packets += packet.pts is not None and packet.pts > pts
                continue
            for frame in frames:
                if frame.pts is not None and frame.pts > pts:
                    yield frame
    except av.FFmpegError:
        # The file ends, or cannot seek, here too.
        return
    finally:
        container.close()
