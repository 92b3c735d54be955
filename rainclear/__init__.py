"""rainclear takes the rain out of driving video before a detector sees it.

>>> import rainclear
>>> rainclear.derain_video("rainy.mp4", "clear.mp4")

The names below load what they need when they are first used: ``import rainclear`` alone is cheap.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "ColorDescription",
    "Derainer",
    "Frame",
    "Pipeline",
    "RainclearError",
    "VideoCapture",
    "VideoReader",
    "VideoWriter",
    "__version__",
    "derain_picture",
    "derain_video",
    "list_models",
    "load_model",
]

_HOMES = {
    "ColorDescription": "rainclear.frame",
    "Derainer": "rainclear.runtime.derainer",
    "Frame": "rainclear.frame",
    "Pipeline": "rainclear.pipeline",
    "RainclearError": "rainclear.errors",
    "VideoCapture": "rainclear.runtime.capture",
    "VideoReader": "rainclear.video",
    "VideoWriter": "rainclear.video",
    "derain_picture": "rainclear.runtime.jobs",
    "derain_video": "rainclear.runtime.jobs",
    "list_models": "rainclear.zoo",
    "load_model": "rainclear.runtime.load",
}

if TYPE_CHECKING:
    from rainclear.errors import RainclearError
    from rainclear.frame import ColorDescription, Frame
    from rainclear.pipeline import Pipeline
    from rainclear.runtime.capture import VideoCapture
    from rainclear.runtime.derainer import Derainer
    from rainclear.runtime.jobs import derain_picture, derain_video
    from rainclear.runtime.load import load_model
    from rainclear.video import VideoReader, VideoWriter
    from rainclear.zoo import list_models


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rainclear' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
