"""Imports OpenVINO without its telemetry.

It counts its uses with ``openvino_telemetry``, a package that it installs along: importing it is
enough to write an identifier below the home folder and to send an event. Without that package it
falls back to a stub, so it is hidden while OpenVINO is imported.
"""

import importlib
import sys
import threading
from typing import Any

from rainclear.errors import DeviceError

__all__ = ["import_quietly"]

_TELEMETRY = "openvino_telemetry"
_LOCK = threading.Lock()


def import_quietly(name: str) -> Any:
    """The module ``name``; nothing is counted or sent.

    Raises:
        DeviceError: It cannot be imported: one of its libraries is missing, say, or of another
            version. Whatever a broken package raises becomes this one line.
    """
    with _LOCK:
        hidden = _TELEMETRY not in sys.modules
        if hidden:
            sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
        try:
            return importlib.import_module(name)
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            package = name.partition(".")[0]
            raise DeviceError(
                f"the package {package} cannot be imported ({type(error).__name__}: {reason}); "
                f"install it again: pip install --force-reinstall {package}"
            ) from error
        finally:
            if hidden:
                sys.modules.pop(_TELEMETRY, None)
