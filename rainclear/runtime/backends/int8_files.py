"""Int8 models that were made for this user: where they are kept, and for which network."""

import hashlib
from pathlib import Path

from torch import nn

from rainclear.runtime.backends.cache import cache_folder

__all__ = ["INT8_REVISION", "int8_file", "kept_int8"]

INT8_REVISION = 3
"""Of the graph over blocks that such a file holds."""


def int8_file(network: nn.Module, *, make: bool = False) -> Path | None:
    """Where the int8 model of a folded network is kept, an OpenVINO ``.xml``.

    Args:
        network: Its weights are part of the name: other weights, another file.
        make: Make the folder.

    Returns:
        A path, whether there is such a file or not; ``None`` without a cache folder.
    """
    folder = cache_folder(make=make)
    if folder is None:
        return None
    digest = hashlib.sha256(f"{INT8_REVISION} {type(network).__name__}".encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    path = folder / "int8" / f"{digest.hexdigest()[:24]}.xml"
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def kept_int8() -> list[str]:
    """Names of the int8 models that are kept."""
    folder = cache_folder(make=False)
    return [] if folder is None else sorted(path.stem for path in folder.glob("int8/*.xml"))
