"""The ``rainclear`` command: its sub-commands, and how errors are shown."""

import sys

import typer

from rainclear import __version__
from rainclear.cli import (
    bench,
    calibrate,
    data,
    demo,
    derain,
    detect,
    doctor,
    dual,
    evaluate,
    explain,
    export,
    models,
    reproduce,
    run,
    serve,
    synth,
    train,
)
from rainclear.cli.view import errors, show_error
from rainclear.errors import RainclearError
from rainclear.runtime.memory import keep_freed_memory

__all__ = ["app", "main"]

_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("derain")(derain.derain)
app.command("calibrate", cls=calibrate.CalibrateCommand)(calibrate.calibrate)
app.command("derain-dual")(dual.derain_dual)
app.command("detect")(detect.detect)
app.command("run")(run.run)
app.command("models")(models.models)
app.command("demo")(demo.demo)
app.command("synth")(synth.synth)
app.command("train")(train.train)
app.command("reproduce")(reproduce.reproduce)
app.command("explain")(explain.explain)
app.command("serve")(serve.serve)
app.command("export")(export.export)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.add_typer(data.app, name="data")
app.add_typer(evaluate.app, name="evaluate")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Take the rain out of driving video before a detector sees it."""


def main() -> None:
    """Entry point: an error of rainclear is one line on stderr and a non-zero exit status."""
    keep_freed_memory()
    try:
        app()
    except RainclearError as error:
        show_error(error)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            errors.print("[bold red]interrupted:[/] nothing was left half-written", soft_wrap=True)
        raise
