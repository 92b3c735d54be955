"""What tells whether a job is the same as one that was begun: input, options, versions."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import av

from rainclear.runtime.options import JobOptions
from rainclear.video.part import Part

__all__ = ["differences", "input_identity", "options_identity"]

_EDGE = 2**20


def input_identity(path: Path) -> dict[str, str]:
    """What tells whether a file is the same as before: size, time, first and last MiB."""
    stat = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_EDGE))
        file.seek(max(0, stat.st_size - _EDGE))
        digest.update(file.read(_EDGE))
    changed = datetime.fromtimestamp(stat.st_mtime_ns / 1e9, UTC)
    return {
        "size of the input": f"{stat.st_size} bytes",
        "last change of the input": f"{changed:%Y-%m-%d %H:%M:%S.%f} UTC",
        "content of the input": digest.hexdigest()[:16],
    }


def options_identity(options: JobOptions, length: int) -> dict[str, str]:
    """What decides on the packets besides the input, by the names of the command's options.

    Args:
        options: Of the job; whether files may be replaced does not matter.
        length: Frames of a segment.
    """
    part, encode = options.part or Part(), options.encode
    libraries = "/".join(str(v[0]) for v in sorted(av.library_versions.values(), reverse=True))
    return {
        "--start": str(part.start),
        "--end": "none" if part.end is None else str(part.end),
        "--frames": "all" if part.frames is None else str(part.frames),
        "--stream": "main" if options.stream is None else str(options.stream),
        "--segment": str(length),
        "--compare": "yes" if options.compare else "no",
        "--codec": encode.codec,
        "--crf": "none" if encode.crf is None else f"{encode.crf:g}",
        "--preset": str(encode.speed),
        "version of rainclear": version("rainclear"),
        "build of FFmpeg": f"PyAV {av.__version__}, {av.ffmpeg_version_info}, {libraries}",
    }


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What changed, for people: names, what they were and what they are."""
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return ", ".join(
        f"{name} ({_short(then.get(name, 'none'))}, now {_short(now.get(name, 'none'))})"
        for name in names
    )


def _short(text: str) -> str:
    return (
        text if len(text) <= 40 else f"{text[:12]}…{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    )
