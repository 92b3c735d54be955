"""``rainclear serve``."""

import os
import signal
import sys
from typing import Annotated

import typer

from rainclear.cli.options import Device
from rainclear.cli.view import console, show_note

__all__ = ["serve"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LARGEST_PICTURE = 2**26  # pixels


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
    max_mb: Annotated[float, typer.Option(min=0.1, help="Largest file in MB.")] = 200.0,
    max_seconds: Annotated[
        float, typer.Option(min=0.1, help="Part of a video that is worked on.")
    ] = 20.0,
    queue: Annotated[int, typer.Option(min=1, help="Runs that may wait.")] = 8,
    device: Device = "auto",
    detector: Annotated[
        str | None, typer.Option(help="Look for objects too: yolo11n.pt, an ONNX file, ...")
    ] = None,
) -> None:
    """Try it in the browser: drop a file, compare before and after.

    Needs the extra web. Nothing is sent or fetched; files are removed within the hour.
    """
    # OpenCV reads this once, when it is loaded.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(_LARGEST_PICTURE))
    from rainclear.web.job import Limits
    from rainclear.web.page import import_gradio
    from rainclear.web.page import serve as serve_page

    import_gradio()
    searcher = None
    if detector is not None:
        from rainclear.detection import load_detector

        searcher = load_detector(detector, device=device)
    if host not in _LOOPBACK:
        show_note(f"listening on {host}: whoever reaches this port can use the page")
    shown = f"[{host}]" if ":" in host else host
    console.print(f"http://{shown}:{port} (Ctrl-C ends)", soft_wrap=True, markup=False)
    # Otherwise a stopped service would leave its files behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    limits = Limits(megabytes=max_mb, seconds=max_seconds)
    serve_page(host=host, port=port, limits=limits, queue=queue, device=device, detector=searcher)
