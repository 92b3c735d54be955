"""``rainclear derain`` from a camera, network stream or pipe, or into a pipe."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rainclear.cli.view import errors, frame_progress, show_error, show_note, write_json
from rainclear.errors import InputError, OutputError, StageError

if TYPE_CHECKING:
    from rainclear.runtime.live import Restore
    from rainclear.runtime.options import DerainerOptions, JobOptions

__all__ = ["derain_live_source", "wants_live"]

PIPE = "-"


def wants_live(inputs: Sequence[Path], out: Path) -> bool:
    """Whether the sources or the output are no plain files."""
    from rainclear.video.live import is_live

    return str(out) == PIPE or any(
        str(name) == PIPE or is_live(str(name)) or ("%" in name.name and not name.exists())
        for name in inputs
    )


def derain_live_source(
    inputs: Sequence[Path],
    out: Path,
    settings: "DerainerOptions",
    options: "JobOptions",
    *,
    policy: str | None,
    raw: str | None,
    timeout: float,
    sidecar: Path | None,
    report: Path | None,
) -> None:
    """Run a live job and show how it went on stderr, as stdout may carry the picture."""
    from rainclear.runtime.device import resolve_device
    from rainclear.runtime.live import derain_live
    from rainclear.video.pipe import PipeFormat

    if len(inputs) != 1:
        raise InputError(f"a live source or a pipe stands alone; {len(inputs)} inputs were given")
    if options.compare or sidecar is not None:
        raise InputError("--compare and --sidecar are for files, not for live sources and pipes")
    if str(out) == PIPE and sys.stdout.isatty():
        raise OutputError("stdout is a terminal; pipe it: rainclear derain - -o - | ffplay -")
    restore = _restorer(settings, adaptive=policy == "adaptive")
    with frame_progress() as progress:
        bar = progress.add_task(str(inputs[0]), total=None, score=0.0)
        result = derain_live(
            str(inputs[0]),
            out,
            restore,
            policy=policy,  # type: ignore[arg-type]  # checked by the feed
            raw=PipeFormat.from_raw(raw) if raw else None,
            stdin=sys.stdin.buffer,
            stdout=sys.stdout.buffer,
            timeout=timeout,
            hardware=str(resolve_device(settings.device)),
            encode=options.encode,
            overwrite=options.overwrite,
            on_frame=lambda done, score: progress.update(bar, completed=done, score=score),
        )
    _forget_closed_stdout()
    if report is not None:
        write_json(report, result.as_dict())
    for note in result.notes:
        show_note(note)
    late = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in result.latency.items())
    errors.print(
        f"{result.frames} frames, {result.fps:.1f} fps, {result.dropped} dropped, latency {late}",
        soft_wrap=True,
    )
    if result.levels:
        shares = ", ".join(f"{level}: {count}" for level, count in result.levels.items())
        show_note(f"frames by what there was time for: {shares}")
    if result.lost is not None:
        show_error(StageError(result.lost))
        raise typer.Exit(1)


def _forget_closed_stdout() -> None:
    """What a player that was closed left in the buffer must not become an error at the exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _restorer(settings: "DerainerOptions", *, adaptive: bool) -> "Restore":
    from rainclear.runtime.adaptive import prepared_stream
    from rainclear.runtime.device import resolve_device

    if adaptive:
        from rainclear.runtime.adaptive import AdaptiveDerainer, levels_of

        levels = levels_of(
            settings.model,
            device=settings.device,
            precision=settings.precision,
            backend=settings.backend,
            gate=settings.gate,
        )
        return AdaptiveDerainer(levels).stream
    on_gpu = resolve_device(settings.device).type == "cuda"
    if on_gpu and settings.backend in ("auto", "eager", "compile"):
        from rainclear.runtime.derain_stage import device_pipeline

        pipeline = device_pipeline(
            settings.model,
            device=settings.device,
            precision=settings.precision,
            gate=settings.gate,
            ahead=1,
            compiled=settings.backend == "compile",
        )
        return pipeline.stream
    return prepared_stream(settings.open())
