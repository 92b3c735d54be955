"""Whether there is a screen that a window can be shown on."""

import os
import re
import socket
from pathlib import Path

__all__ = ["no_screen"]

_X_SOCKETS = "/tmp/.X11-unix/X"  # and the number of the display
_X_PORT = 6000  # that of display 0
_WAIT = 3.0  # seconds for a display on another machine to answer


def _answers(address: str | tuple[str, int]) -> bool:
    """Whether anyone listens at the name of a Unix socket, or at a host and port."""
    try:
        if isinstance(address, tuple):
            socket.create_connection(address, timeout=_WAIT).close()
        else:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_WAIT)
                client.connect(address)
    except BlockingIOError:  # it has more callers than it can take in at once
        return True
    except (OSError, ValueError, OverflowError):  # also a name or a port that cannot be
        return False
    return True


def _x_answers(display: str) -> bool:
    """Whether an X server listens where ``DISPLAY`` points; what libxcb tries is tried."""
    if "/" in display:
        name = display.removeprefix("unix:")
        if any(_answers(one) for one in (name, re.sub(r"\.\d+$", "", name))):
            return True
    parts = re.fullmatch(r"(?:(\w*)/)?(.*):(\d{1,9})(?:\.\d*)?", display)
    if parts is None:
        return False
    protocol, host, number = parts[1], parts[2], int(parts[3])
    if "unix" not in (protocol, host) and host:
        return _answers((host.strip("[]"), _X_PORT + number))
    path = f"{_X_SOCKETS}{number}"
    return _answers(f"\0{path}") or _answers(path) or _answers(("localhost", _X_PORT + number))


def _wayland_answers(display: str) -> bool:
    """Whether a compositor listens where ``WAYLAND_DISPLAY`` points."""
    return _answers(str(Path(os.environ.get("XDG_RUNTIME_DIR", ""), display).absolute()))


def no_screen() -> str | None:
    """Why there is no screen, as far as the environment tells: may be empty; ``None`` if one is.

    What is asked for by ``QT_QPA_PLATFORM`` and needs neither X nor Wayland counts as a screen.
    """
    platforms = os.environ.get("QT_QPA_PLATFORM", "").split(";")
    asked = {one.split(":")[0].split("-")[0] for one in platforms if one}
    if asked - {"xcb", "wayland"}:
        return None
    compositor = os.environ.get("WAYLAND_DISPLAY") or ("wayland-0" if asked else None)
    dead = []
    for platform, name, value, answers in (
        ("xcb", "DISPLAY", os.environ.get("DISPLAY"), _x_answers),
        ("wayland", "WAYLAND_DISPLAY", compositor, _wayland_answers),
    ):
        if value and (not asked or platform in asked):
            if answers(value):
                return None
            dead.append(f"{name}={value}")
    return f": nothing answers at {' and '.join(dead)}" if dead else ""
