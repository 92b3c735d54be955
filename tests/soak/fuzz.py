"""Reads and rewrites thousands of damaged videos: no crash, no hang, no riddle.

Run by ``make fuzz``. Small videos of many kinds are written, each copy is damaged by a seed, and a
process of its own reads it and writes what it got as another video. Allowed are an output, or an
error of rainclear in one line that names the file, within a time limit and with no thread or file
handle left. Everything else is a finding: it is told, and the damaged file is kept.
"""

import argparse
import json
import os
import queue
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from rainclear.errors import RainclearError
from rainclear.video import VideoReader, VideoWriter

MEMORY = 4 << 30
"""Bytes that the reading process may take; a head that lies about its size must not take more."""

SEEDS = {
    "h264.mp4": ("libx264", "yuv420p", "aac"),
    "h264.ts": ("libx264", "yuv420p", "mp2"),
    "h264.mkv": ("libx264", "yuv420p", "aac"),
    "h264.flv": ("libx264", "yuv420p", "aac"),
    "hevc.mp4": ("libx265", "yuv420p10le", None),
    "av1.mp4": ("libsvtav1", "yuv420p", None),
    "vp9.webm": ("libvpx-vp9", "yuv420p", None),
    "mpeg4.avi": ("mpeg4", "yuv420p", "pcm_s16le"),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", "mp2"),
    "mjpeg.avi": ("mjpeg", "yuvj422p", None),
    "prores.mov": ("prores_ks", "yuv422p10le", "pcm_s16le"),
    "ffv1.mkv": ("ffv1", "yuv444p", None),
    "wmv.wmv": ("wmv2", "yuv420p", None),
    "gif.gif": ("gif", "bgr8", None),
    "apng.apng": ("apng", "rgb24", None),
    "h264.h264": ("libx264", "yuv420p", None),
}
OPTIONS = {
    "libx264": {"preset": "ultrafast", "g": "4"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12"},
    "libvpx-vp9": {"cpu-used": "8"},
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one damaged file went: ``ok``, the name of a rainclear error, or a finding."""

    index: int
    outcome: str
    message: str = ""
    seconds: float = 0.0

    @property
    def is_finding(self) -> bool:
        """Whether this must not happen."""
        return self.outcome not in ("ok", "InputError", "OutputError")


def write_seed(path: Path, codec: str, pixel_format: str, sound: str | None) -> None:
    """Ten frames of 64×48, with a tone where there is sound."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25, options=OPTIONS.get(codec, {}))
        video.width, video.height, video.pix_fmt = 64, 48, pixel_format
        audio = out.add_stream(sound, rate=48000) if sound else None
        for n in range(10):
            y, x = np.mgrid[0:48, 0:64]
            rgb = np.stack([3 * x + 5 * n, 4 * y, x + y], -1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio:
            context = audio.codec_context
            size = context.frame_size or 1152
            for n in range(15):
                tone = av.AudioFrame(format=context.format.name, layout="stereo", samples=size)
                for plane in tone.planes:
                    plane.update(bytes(plane.buffer_size))
                tone.sample_rate, tone.pts, tone.time_base = 48000, n * size, Fraction(1, 48000)
                out.mux(audio.encode(tone))
            out.mux(audio.encode(None))


def write_seeds(folder: Path) -> None:
    """All seeds that this build of FFmpeg has an encoder for."""
    os.environ.setdefault("SVT_LOG", "1")
    for name, (codec, pixel_format, sound) in SEEDS.items():
        if codec in av.codecs_available:
            write_seed(folder / name, codec, pixel_format, sound)


def _place(chance: random.Random, size: int) -> int:
    """A place in the file; every other time in its head or at its end, where the index may be."""
    edge = min(size, 1500)
    return chance.choice(
        [chance.randrange(size), chance.randrange(edge), size - 1 - chance.randrange(edge)]
    )


def _flip(chance: random.Random, data: bytearray, _: bytes) -> None:
    for _ in range(chance.choice((1, 3, 10, 60))):
        data[_place(chance, len(data))] ^= 1 << chance.randrange(8)


def _number(chance: random.Random, data: bytearray, _: bytes) -> None:
    for _ in range(chance.choice((1, 2, 8))):
        value = chance.choice((0, 1, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data)))
        at = _place(chance, len(data)) & ~3
        data[at : at + 4] = value.to_bytes(4, chance.choice(("big", "little")))


def _blot(chance: random.Random, data: bytearray, _: bytes) -> None:
    at, size = _place(chance, len(data)), chance.choice((4, 30, 200, 1500))
    fill = chance.choice((b"\0" * size, b"\xff" * size, chance.randbytes(size)))
    data[at : at + size] = fill[: len(data) - at]


def _cut(chance: random.Random, data: bytearray, _: bytes) -> None:
    del data[chance.randrange(len(data)) :]


def _behead(chance: random.Random, data: bytearray, _: bytes) -> None:
    del data[: chance.randrange(min(len(data), 4000))]


def _drop(chance: random.Random, data: bytearray, _: bytes) -> None:
    at = _place(chance, len(data))
    del data[at : at + chance.choice((1, 4, 188, 900))]


def _double(chance: random.Random, data: bytearray, _: bytes) -> None:
    at, size = _place(chance, len(data)), chance.choice((8, 188, 900))
    data[at:at] = data[at : at + size]


def _graft(chance: random.Random, data: bytearray, other: bytes) -> None:
    at, start = _place(chance, len(data)), chance.randrange(len(other))
    data[at:at] = other[start : start + chance.choice((40, 400, 4000))]


DAMAGE: tuple[Callable[[random.Random, bytearray, bytes], None], ...] = (
    _flip, _number, _blot, _cut, _behead, _drop, _double, _graft,
)  # fmt: skip


def damaged(folder: Path, seed: int, index: int) -> Path:
    """Write the damaged file number ``index``; the same for the same seed."""
    chance = random.Random(f"{seed}-{index}")
    names = sorted(path.name for path in folder.glob("*.*"))
    name = chance.choice(names)
    data = bytearray((folder / name).read_bytes())
    other = (folder / chance.choice(names)).read_bytes()
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if data:
            chance.choice(DAMAGE)(chance, data, other)
    path = folder / "damaged" / f"{seed}-{index}{Path(name).suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def _open_things() -> tuple[int, int]:
    """Threads and file handles of this process."""
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def rewrite(source: Path, target: Path, *, threads: int) -> str:
    """Read a video and write it again; the kind of error, or ``ok``."""
    before = _open_things()
    try:
        with (
            VideoReader(source, threads=threads) as reader,
            VideoWriter(target, template=reader, codec="mpeg4", overwrite=True) as writer,
        ):
            frames = 0
            for frame in reader:
                writer.write(frame)
                frames += 1
    except RainclearError as error:
        text = str(error)
        if "\n" in text or not (source.name in text or target.name in text):
            raise AssertionError(f"not a clear message: {text!r}") from error
        result = type(error).__name__
    else:
        assert frames == reader.report.frames > 0
        result = "ok"
    after = _open_things()
    if after != before:
        time.sleep(0.2)  # FFmpeg's threads may still be on their way out
        after = _open_things()
    assert after == before, f"threads, file handles: {before} before, {after} after"
    assert not list(target.parent.glob(f".{target.stem}.partial*")), "a partial file is left"
    return result


def work(folder: Path, seed: int, first: int, count: int) -> None:
    """The process that reads: a line of JSON before and after each file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for index in range(first, count):
        print(json.dumps({"begin": index}), flush=True)
        source = damaged(folder, seed, index)
        target = folder / "out" / ("out.mp4" if index % 3 else "out.mkv")
        target.parent.mkdir(exist_ok=True)
        started, message = time.perf_counter(), ""
        try:
            outcome = rewrite(source, target, threads=1 + index % 2 * 3)
        except Exception as error:
            outcome, message = type(error).__name__, str(error)
        seconds = time.perf_counter() - started
        print(json.dumps({"end": index, "outcome": outcome, "message": message,
                          "seconds": seconds}), flush=True)  # fmt: skip
        if outcome in ("ok", "InputError", "OutputError"):
            source.unlink()


def watch(command: Callable[[int], list[str]], count: int, *, limit: float) -> Iterator[Result]:
    """Run processes until every file was tried; one that hangs or dies is followed by another.

    Args:
        command: The process that begins with a given file.
        count: Number of files.
        limit: Seconds that one file may take.
    """
    done = 0
    while done < count:
        process = subprocess.Popen(command(done), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_pass_on, args=(process.stdout, lines))
        reader.start()
        wait = limit + 30.0  # to start up
        while True:
            try:
                line = lines.get(timeout=wait)
            except queue.Empty:
                process.kill()
                yield Result(index=done, outcome="hang", message=f"more than {limit:g} s")
                done += 1
                break
            if line is None:
                code = process.wait()
                if done < count:
                    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                    yield Result(index=done, outcome="crash", message=name)
                    done += 1
                break
            wait = limit
            said = json.loads(line)
            if "end" in said:
                yield Result(
                    index=done,
                    outcome=said["outcome"],
                    message=said["message"],
                    seconds=said["seconds"],
                )
                done += 1
        reader.join()
        process.wait()
        process.stdout.close()


def _pass_on(lines: Iterator[str], to: "queue.Queue[str | None]") -> None:
    for line in lines:
        to.put(line)
    to.put(None)


def main() -> int:
    """Print what came of the files; 1 if there were findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="damaged files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one file")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--worker", nargs=2, metavar=("FOLDER", "FIRST"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        folder, first = options.worker
        work(Path(folder), options.seed, int(first), options.count)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_seeds(folder)
        given = [f"--count={options.count}", f"--seed={options.seed}"]
        results, started = [], time.perf_counter()
        for result in watch(
            lambda first: [sys.executable, __file__, *given, "--worker", name, str(first)],
            options.count,
            limit=options.limit,
        ):
            results.append(result)
            if result.is_finding:
                options.keep.mkdir(exist_ok=True)
                for path in (folder / "damaged").glob(f"{options.seed}-{result.index}.*"):
                    shutil.copy(path, options.keep)
                    print(f"{options.keep / path.name}: {result.outcome}: {result.message}")
    counts = Counter(result.outcome for result in results)
    longest = max(results, key=lambda result: result.seconds)
    print(
        f"{len(results)} damaged videos in {time.perf_counter() - started:.0f} s: "
        + ", ".join(f"{number} {outcome}" for outcome, number in counts.most_common())
        + f"; the longest took {longest.seconds:.2f} s (number {longest.index})"
    )
    return int(any(result.is_finding for result in results))


if __name__ == "__main__":
    sys.exit(main())
