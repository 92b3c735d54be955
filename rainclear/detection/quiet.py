"""Imports ultralytics without what it does on the side.

On import, ultralytics asks DNS servers whether the machine is online, turns on usage events and
crash reports (its setting ``sync``), sets ``OMP_NUM_THREADS=1`` and other variables for the whole
process, stops OpenCV's threads, changes how numpy prints and replaces ``torch.save``. It later
installs missing packages with pip and downloads missing weights. None of that is wanted here.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch

from rainclear.errors import ModelError

__all__ = ["import_ultralytics", "safe_loading"]

_AT_IMPORT = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}


def import_ultralytics() -> Any:
    """The package ``ultralytics``: offline, silent, and with the process left as it was.

    May be called again, and after somebody else imported it; the user's settings file of
    ultralytics is not changed.

    Raises:
        ModelError: It is not installed.
    """
    with _undone():
        try:
            package = importlib.import_module("ultralytics")
        except ImportError as error:
            raise ModelError(
                f"this detector needs ultralytics (AGPL-3.0), which cannot be imported ({error}); "
                "install it with: pip install 'rainclear[detect]'"
            ) from error
    _silence(package)
    return package


@contextlib.contextmanager
def _undone() -> Iterator[None]:
    """Undo changes to the environment, to OpenCV's and torch's threads and to numpy's printing."""
    environment = dict(os.environ)
    threads, torch_threads = cv2.getNumThreads(), torch.get_num_threads()
    printing, save = np.get_printoptions(), torch.save
    os.environ.update(_AT_IMPORT)
    try:
        yield
    finally:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        cv2.setNumThreads(threads)
        if torch.get_num_threads() != torch_threads:
            torch.set_num_threads(torch_threads)
        np.set_printoptions(**printing)
        torch.save = save


def _silence(package: Any) -> None:
    # Somebody else may have imported it first, so the constants that its modules copied are set.
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == package.__name__ and module is not None:
            for constant in ("ONLINE", "AUTOINSTALL"):
                if constant in vars(module):
                    setattr(module, constant, False)
    dict.__setitem__(package.settings, "sync", False)  # past its __setitem__, which writes a file
    events = sys.modules.get(f"{package.__name__}.utils.events")
    if events is not None and hasattr(events, "events"):
        events.events.enabled = False


@contextlib.contextmanager
def safe_loading(*, enabled: bool = True) -> Iterator[None]:
    """Let ultralytics read ``.pt`` files with ``weights_only``, rebuilding known classes alone.

    Versions before 8.4 cannot; there this does nothing.
    """
    tasks = importlib.import_module("ultralytics.nn.tasks")
    before = getattr(tasks, "SAFE_LOAD", None)
    if before is None:
        yield
        return
    tasks.SAFE_LOAD = enabled  # type: ignore[attr-defined]
    try:
        yield
    finally:
        tasks.SAFE_LOAD = before  # type: ignore[attr-defined]
