"""``rainclear derain``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from rainclear.cli.view import console, errors, frame_progress, show_error, show_note

__all__ = ["derain"]


def derain(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, pictures or folders of them; or one camera (0, /dev/video0), URL "
            "(rtsp://...), pattern (frame_%04d.png), or - for a pipe with Y4M.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="File to write; a folder for several inputs; - for a pipe."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="Model by name (see [bold]rainclear models[/]) or folder.")
    ] = "d-daiam-rt",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    backend: Annotated[
        str,
        typer.Option(
            help="auto, eager, compile, openvino, openvino-int8, onnxruntime or tensorrt. "
            "[bold]auto[/] measures once for a video's size (see [bold]rainclear doctor[/])."
        ),
    ] = "auto",
    gate: Annotated[
        bool | None,
        typer.Option(
            "--gate/--no-gate",
            help="Let dry frames pass untouched, bit for bit.",
            show_default="gate, if the model has one",
        ),
    ] = None,
    gate_settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml", help="Rain gate written by [bold]rainclear calibrate[/]."
        ),
    ] = None,
    sidecar: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Write the rain of every frame as JSON lines."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Write rainy | derained side by side.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write figures of the run as JSON.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Videos: begin there, at seconds or HH:MM:SS since the first frame; that frame "
            "gets time zero.",
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Videos: end there, on the same clock as --start."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Videos: derain so many frames at most.")
    ] = None,
    stream: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="INDEX",
            help="Videos: which stream of the file to derain, by its index among all.",
            show_default="the first video",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Long jobs: collect finished segments in OUT.part/, so that the same command goes "
            "on where it was stopped, and skips files that are finished.",
        ),
    ] = False,
    segment: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="FRAMES",
            help="Length of the segments of --resume: what a kill costs at most.",
            show_default="250",
        ),
    ] = None,
    codec: Annotated[str, typer.Option(help="Video encoder, by FFmpeg's name.")] = "libx264",
    crf: Annotated[
        float | None, typer.Option(help="Quality in the codec's scale; lower is better.")
    ] = 18,
    preset: Annotated[
        str | None,
        typer.Option(help="Encoder speed in the codec's words.", show_default="veryfast for x264"),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="Live: block, drop-oldest to stay up to date, adaptive to derain less when late.",
            show_default="drop-oldest for cameras and URLs",
        ),
    ] = None,
    raw: Annotated[
        str | None,
        typer.Option(metavar="WxH@RATE:PIXELS", help="Pipes carry raw frames, not Y4M."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Live: seconds without a frame before connecting anew.")
    ] = 10.0,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Many files: [bold]ray[/] for the workers of a cluster, local for this process; "
            "also from and to s3://, gs:// and other storage."
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Ray: auto or HOST:PORT; without it, a cluster on this machine."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Ray: how many.", show_default="one a GPU, or one for 4 processors"
        ),
    ] = None,
) -> None:
    """Take the rain out of videos and pictures.

    Frames keep their time stamps; sound, subtitles, rotation and colours are kept. A file appears
    under its name only when it is complete.
    """
    from contextlib import nullcontext

    from rainclear.cli.gate import gate_choice
    from rainclear.cli.live import derain_live_source, wants_live
    from rainclear.cli.long_jobs import part_of, refuse_pictures, show_kept, summary
    from rainclear.errors import ConfigError, InputError
    from rainclear.runtime.batch import Resume, derain_batch
    from rainclear.runtime.derainer import Derainer
    from rainclear.runtime.jobs import EncodeOptions, JobReport, OnFrame
    from rainclear.runtime.plan import Task, plan
    from rainclear.runtime.segments import SEGMENT_FRAMES
    from rainclear.runtime.sidecar import Sidecar
    from rainclear.zoo import find_model

    part = part_of(start, end, frames)
    if segment is not None and not resume:
        raise ConfigError("--segment is the length of the segments of --resume; give both")
    choice = gate_choice(model, gate, gate_settings)
    if engine is not None:
        from rainclear.cli.fleet import derain_on_engine

        if part is not None or stream is not None or resume:
            raise InputError(
                "--start, --end, --frames, --stream and --resume are not for --engine, which "
                "always goes on where it was stopped"
            )
        derain_on_engine(
            inputs,
            out,
            engine=engine,
            address=address,
            workers=workers,
            model=model,
            device=device,
            precision=precision,
            backend=backend,
            gate=choice,
            encode=EncodeOptions(codec=codec, crf=crf, preset=preset),
            overwrite=overwrite,
            compare=compare,
            sidecar=sidecar,
            report=report,
        )
        return
    if address is not None or workers is not None:
        raise ConfigError("--address and --workers are for --engine ray")
    if wants_live(inputs, out):
        if part is not None or stream is not None or resume:
            raise InputError(
                "--start, --end, --frames, --stream and --resume are for files, not for live "
                "sources and pipes"
            )
        derain_live_source(
            inputs,
            out,
            model=model,
            device=device,
            precision=precision,
            backend=backend,
            gate=choice,
            encode=EncodeOptions(codec=codec, crf=crf, preset=preset),
            overwrite=overwrite,
            compare=compare,
            sidecar=sidecar,
            report=report,
            policy=policy,
            raw=raw,
            timeout=timeout,
        )
        return
    # An output that exists is no error for a job that goes on: it is finished.
    tasks = plan(inputs, out, overwrite=overwrite or resume)
    if part is not None or stream is not None:
        refuse_pictures(tasks)
    derainer = Derainer(model, device=device, precision=precision, backend=backend, gate=choice)
    into_folder = len(tasks) > 1 or out != tasks[0].output
    lines = Sidecar(sidecar, overwrite=overwrite) if sidecar else nullcontext()
    with lines as readings, frame_progress() as progress:

        def on_start(task: Task) -> OnFrame:
            bar = progress.add_task(task.source.name, total=None, score=0.0)

            def on_frame(done: int, total: int | None, score: float) -> None:
                progress.update(
                    bar, completed=done, total=max(done, total) if total else None, score=score
                )

            return on_frame

        def on_done(task: Task, result: JobReport | Exception) -> None:
            if isinstance(result, JobReport):
                bar = progress.tasks[-1]
                progress.update(bar.id, completed=result.frames, total=result.frames)
                for note in result.notes:
                    show_note(f"{task.source}: {note}")
            else:
                if resume and progress.tasks[-1].completed:
                    show_kept(task.output)
                if len(tasks) > 1:
                    show_error(result)

        going_on = None
        if resume:
            weights = find_model(model).spec.weights
            going_on = Resume(
                made_with={
                    "weights of the model": weights.sha256[:16] if weights else "none",
                    "--precision": precision,
                },
                length=segment or SEGMENT_FRAMES,
            )
        try:
            batch = derain_batch(
                tasks,
                derainer,
                resume=going_on,
                part=part,
                stream=stream,
                sidecar=readings,
                compare=compare,
                encode=EncodeOptions(codec=codec, crf=crf, preset=preset),
                overwrite=overwrite,
                make_folders=into_folder,
                on_start=on_start,
                on_done=on_done,
            )
        except KeyboardInterrupt:
            if resume:
                for task in tasks:
                    show_kept(task.output)
            raise
    if report is not None:
        _write_report(report, batch)
    if batch.failed and len(tasks) == 1:
        raise batch.failed[0][1]
    for task in batch.skipped:
        if sidecar is not None:
            show_note(f"{task.source}: was derained before, its frames are not in {sidecar}")
    if len(tasks) > 1:
        console.print(summary(batch), soft_wrap=True, markup=False)
    else:
        for done in batch.done:
            console.print(
                f"{done.output}: {done.frames} frames, {done.fps:.1f} fps, "
                f"rain score {done.rain_score_mean:.2f}"
                + (f", {done.dry_frames} dry frames untouched" if derainer.gated else ""),
                soft_wrap=True,
                markup=False,
            )
        for task in batch.skipped:
            console.print(f"{task.output}: is finished already", soft_wrap=True, markup=False)
    if batch.failed:
        errors.print(f"{len(batch.failed)} of {len(tasks)} files failed", soft_wrap=True)
        raise typer.Exit(1)


def _write_report(path: Path, batch: Any) -> None:
    from rainclear.errors import OutputError

    files = [done.as_dict() for done in batch.done]
    data = files[0] if len(files) == 1 and not batch.failed else _summary(files, batch)
    try:
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: the report cannot be written: {error.strerror}") from error


def _summary(files: list[dict[str, Any]], batch: Any) -> dict[str, Any]:
    frames = sum(f["frames"] for f in files)
    seconds = sum(f["seconds"] for f in files)
    stages = {s: sum(f["stage_seconds"][s] for f in files) for s in ("decode", "model", "encode")}
    return {
        "frames": frames,
        "seconds": seconds,
        "fps": frames / seconds if seconds else 0.0,
        "stage_seconds": stages,
        "rain_score_mean": sum(f["rain_score_mean"] * f["frames"] for f in files) / max(1, frames),
        "peak_rss_mb": max((f["peak_rss_mb"] for f in files), default=0.0),
        "files": files,
        "failed": [{"input": str(task.source), "error": str(e)} for task, e in batch.failed],
        "skipped": [str(task.source) for task in batch.skipped],
    }
