"""What int8 needs to know of a network, the ranges of its layers: where they are, and for whom."""

import hashlib
from pathlib import Path
from typing import Annotated, Self

from annotated_types import Gt, Len
from pydantic import FiniteFloat, model_validator
from torch import nn

from rainclear.config import Settings
from rainclear.errors import DeviceError
from rainclear.nn.ensemble import SelfEnsemble
from rainclear.runtime.backends.cache import cache_folder
from rainclear.zoo import models_root

__all__ = ["INT8_REVISION", "Int8Ranges", "find_int8", "int8_file", "kept_int8", "weights_digest"]

INT8_REVISION = 6
"""Of the graph over blocks that the ranges belong to."""

_SHIPPED = "int8.json"


class Int8Ranges(Settings):
    """Ranges of what the layers of a network read, and what int8 with them costs.

    Attributes:
        revision: Of the graph over blocks; another one's layers are others.
        weights: :func:`weights_digest` of the network.
        model: Its name.
        clips: Videos and pictures that the ranges were found with.
        frames: Frames that int8 was judged on.
        psnr_db: By rain: PSNR in float and in int8.
        ranges: Least and largest value that a layer's 256 steps are for, by its name.
        factors: Of the features' channels; see
            :meth:`rainclear.runtime.backends.int8_graph.Int8Graph.even_out`.
    """

    revision: int
    weights: str
    model: str
    clips: tuple[str, ...]
    frames: int
    psnr_db: dict[str, dict[str, FiniteFloat]]
    ranges: Annotated[dict[str, tuple[FiniteFloat, FiniteFloat]], Len(1)]
    factors: tuple[Annotated[FiniteFloat, Gt(0)], ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (low, high) in self.ranges.items():
            if not low <= 0 <= high or low == high:
                raise ValueError(f"{name}: {low} to {high} is no range around 0")
        return self


def weights_digest(network: nn.Module) -> str:
    """A name for a folded network and its weights; an ensemble's is that of its network."""
    network = network.network if isinstance(network, SelfEnsemble) else network
    digest = hashlib.sha256(f"{INT8_REVISION} {type(network).__name__}".encode())
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]


def int8_file(network: nn.Module, *, make: bool = False) -> Path | None:
    """Where this user's ranges of a folded network are kept.

    Args:
        network: Its weights are part of the name: other weights, another file.
        make: Make the folder.

    Returns:
        A path, whether there is such a file or not; ``None`` without a cache folder.
    """
    folder = cache_folder(make=make)
    if folder is None:
        return None
    path = folder / "int8" / f"{weights_digest(network)}.json"
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def kept_int8() -> list[str]:
    """Names of this user's ranges."""
    folder = cache_folder(make=False)
    return [] if folder is None else sorted(path.stem for path in folder.glob("int8/*.json"))


def find_int8(network: nn.Module) -> Int8Ranges | None:
    """Ranges for this network: the user's, or those that its model comes with.

    Raises:
        DeviceError: The user's file is damaged, and there are no others.
    """
    path = int8_file(network)
    damage: Exception | None = None
    if path is not None and path.is_file():
        try:
            return _read(path)
        except (OSError, ValueError) as error:
            damage = error
    digest = weights_digest(network)
    for shipped in sorted(models_root().glob(f"*/{_SHIPPED}")):
        try:
            ranges = _read(shipped)
        except (OSError, ValueError):
            continue
        if ranges.weights == digest and ranges.revision == INT8_REVISION:
            return ranges
    if damage is not None:
        raise DeviceError(
            f"{path} holds no ranges for int8: delete it, or make it again with "
            "rainclear export MODEL --int8 --calibrate CLIP"
        ) from damage
    return None


def _read(path: Path) -> Int8Ranges:
    """Raises OSError, or ValueError (pydantic's is one) for what is no such file."""
    return Int8Ranges.model_validate_json(path.read_bytes())
