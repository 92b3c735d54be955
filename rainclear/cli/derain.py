"""``rainclear derain``."""

from rainclear.cli import derain_options as own
from rainclear.cli.options import Device, Gate, GateSettings, Overwrite, Precision

__all__ = ["derain"]


def derain(
    inputs: own.Inputs,
    out: own.Out,
    model: own.Model = "d-daiam-rt",
    device: Device = "auto",
    precision: Precision = "auto",
    backend: own.Backend = "auto",
    gate: Gate = None,
    gate_settings: GateSettings = None,
    sidecar: own.Sidecar = None,
    compare: own.Compare = False,
    report: own.Report = None,
    overwrite: Overwrite = False,
    start: own.Start = None,
    end: own.End = None,
    frames: own.Frames = None,
    stream: own.Stream = None,
    resume: own.Resume = False,
    segment: own.Segment = None,
    codec: own.Codec = "libx264",
    crf: own.Crf = 18,
    preset: own.Preset = None,
    policy: own.Policy = None,
    raw: own.Raw = None,
    timeout: own.Timeout = 10.0,
    engine: own.Engine = None,
    address: own.Address = None,
    workers: own.Workers = None,
) -> None:
    """Take the rain out of videos and pictures.

    Frames keep their time stamps; sound, subtitles, rotation and colours are kept. A file appears
    under its name only when it is complete.
    """
    from rainclear.cli.derain_files import derain_files
    from rainclear.cli.fleet import derain_on_engine
    from rainclear.cli.gate import gate_choice
    from rainclear.cli.live import derain_live_source, wants_live
    from rainclear.cli.long_jobs import part_of
    from rainclear.errors import ConfigError, InputError
    from rainclear.runtime.options import DerainerOptions, EncodeOptions, JobOptions

    part = part_of(start, end, frames)
    if segment is not None and not resume:
        raise ConfigError("--segment is the length of the segments of --resume; give both")
    settings = DerainerOptions(
        model=model,
        device=device,
        precision=precision,
        backend=backend,
        gate=gate_choice(model, gate, gate_settings),
    )
    options = JobOptions(
        part=part,
        stream=stream,
        compare=compare,
        encode=EncodeOptions(codec=codec, crf=crf, preset=preset),
        overwrite=overwrite,
    )
    whole = part is None and stream is None and not resume
    if engine is not None:
        if not whole:
            raise InputError(
                "--start, --end, --frames, --stream and --resume are not for --engine, which "
                "always goes on where it was stopped"
            )
        derain_on_engine(
            inputs,
            out,
            settings,
            options,
            engine=engine,
            address=address,
            workers=workers,
            sidecar=sidecar,
            report=report,
        )
        return
    if address is not None or workers is not None:
        raise ConfigError("--address and --workers are for --engine ray")
    if wants_live(inputs, out):
        if not whole:
            raise InputError(
                "--start, --end, --frames, --stream and --resume are for files, not for live "
                "sources and pipes"
            )
        derain_live_source(
            inputs,
            out,
            settings,
            options,
            policy=policy,
            raw=raw,
            timeout=timeout,
            sidecar=sidecar,
            report=report,
        )
        return
    derain_files(
        inputs,
        out,
        settings,
        options,
        resume=resume,
        segment=segment,
        sidecar=sidecar,
        report=report,
    )
