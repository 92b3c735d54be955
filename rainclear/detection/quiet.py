"""Imports ultralytics without what it does on the side.

On import, ultralytics asks DNS servers whether the machine is online, turns on usage events and
crash reports (its setting ``sync``), sets ``OMP_NUM_THREADS=1`` and other variables for the whole
process, stops OpenCV's threads, changes how numpy prints and replaces ``torch.save``. It later sets
``CUBLAS_WORKSPACE_CONFIG`` with every model, installs missing packages with pip, downloads missing
weights, data sets and a font, and runs the download script that the YAML file of a data set may
hold. None of that is wanted here.
"""

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import cv2
import numpy as np
import torch

from rainclear.errors import ModelError

__all__ = ["import_ultralytics", "safe_loading", "without_downloads"]

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
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
    downloads: Any = sys.modules.get(f"{package.__name__}.utils.downloads")
    if downloads is not None and not hasattr(downloads.is_url, "__wrapped__"):
        downloads.is_url = _unreachable(downloads.is_url)


def _unreachable(is_url: Callable[[Any], bool]) -> Callable[..., bool]:
    """``is_url`` to which no address answers: a plot then does without the font it would fetch."""

    @functools.wraps(is_url)
    def answer(url: Any, check: bool = False) -> bool:
        return not check and is_url(url)

    return answer


@contextlib.contextmanager
def safe_loading(*, enabled: bool = True) -> Iterator[None]:
    """Let ultralytics read ``.pt`` files with ``weights_only``, rebuilding known classes alone.

    Versions before 8.4 cannot, and read as ever. The environment variable that ultralytics sets for
    each model it makes is put back.
    """
    tasks: Any = importlib.import_module("ultralytics.nn.tasks")
    before, workspace = getattr(tasks, "SAFE_LOAD", None), os.environ.get(_WORKSPACE)
    if before is not None:
        tasks.SAFE_LOAD = enabled
    try:
        yield
    finally:
        if before is not None:
            tasks.SAFE_LOAD = before
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)
        else:
            os.environ[_WORKSPACE] = workspace


@contextlib.contextmanager
def without_downloads() -> Iterator[None]:
    """Let ultralytics fetch no data set, and run no download script of one.

    A data set whose pictures are missing is a ``FileNotFoundError`` then, as ultralytics raises it.

    Raises:
        ModelError: Something was about to be downloaded; the message names it.
    """
    utils: Any = importlib.import_module("ultralytics.data.utils")
    instead = {
        "check_det_dataset": functools.partial(utils.check_det_dataset, autodownload=False),
        "safe_download": _refuse,
    }
    before = [
        (module, key, vars(module)[key])
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "ultralytics" and module is not None
        for key in instead.keys() & vars(module).keys()
    ]
    for module, key, _ in before:
        setattr(module, key, instead[key])
    try:
        yield
    finally:
        for module, key, value in before:
            setattr(module, key, value)


def _refuse(url: Any, *_: Any, **__: Any) -> NoReturn:
    raise ModelError(f"{url} would have to be downloaded, and rainclear downloads nothing")
