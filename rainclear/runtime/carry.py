"""What a :class:`rainclear.Derainer` carries from frame to frame, as tensors that can be stored.

These are the state of the network, the coarse picture and the size by which cuts are found, and the
latch of the rain gate. A derainer that gets them back goes on bit for bit as if never interrupted.
"""

import json
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rainclear.errors import InputError
from rainclear.runtime.backends.auto import AutoBackend
from rainclear.runtime.derainer import Derainer

__all__ = ["carried", "restore", "settings_of"]

_STATE = "state."
_STRIDES = "strides"


def carried(derainer: Derainer) -> bytes:
    """What is carried beyond the last frame, in the format of safetensors."""
    tensors: dict[str, Tensor] = {}
    for number, tensor in enumerate(derainer._state or ()):
        tensors[f"{_STATE}{number}"] = tensor
    if derainer._thumbnail is not None:
        tensors["thumbnail"] = derainer._thumbnail
    if derainer._size is not None:
        tensors["size"] = torch.tensor(derainer._size)
    latch = derainer._gate._latch
    if latch is not None:
        tensors["gate"] = torch.tensor([int(latch._open), latch._below])
    # Kernels may sum in another order for another layout, and the last digit would differ.
    strides = {name: tensor.stride() for name, tensor in tensors.items()}
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(stored, {_STRIDES: json.dumps(strides)})


def restore(derainer: Derainer, path: Path) -> None:
    """Put a derainer into the state that :func:`carried` gave.

    Raises:
        InputError: The file does not hold such a state.
    """
    try:
        with safe_open(path, framework="pt") as file:
            strides = json.loads((file.metadata() or {})[_STRIDES])
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: holds no state of a job; delete its folder") from error
    derainer.reset()
    tensors = {
        name: _laid_out(value, tuple(strides[name]), derainer.device)
        for name, value in stored.items()
        if name.startswith(_STATE) or name == "thumbnail"
    }
    count = sum(name.startswith(_STATE) for name in tensors)
    if count:
        derainer._state = tuple(tensors[f"{_STATE}{n}"] for n in range(count))
    derainer._thumbnail = tensors.get("thumbnail")
    if "size" in stored:
        height, width = stored["size"].tolist()
        derainer._size = (height, width)
    latch = derainer._gate._latch
    if latch is not None and "gate" in stored:
        is_open, below = stored["gate"].tolist()
        latch._open, latch._below = bool(is_open), below


def settings_of(derainer: Derainer, size: tuple[int, int]) -> dict[str, str]:
    """What decides on the pictures that a derainer makes of frames of ``size``, for people.

    Args:
        derainer: After its ``prepare`` for that size.
        size: Height and width.
    """
    backend = derainer._backend
    if isinstance(backend, AutoBackend):
        m = derainer._descriptor.size_multiple
        backend = backend.chosen((size[0] + -size[0] % m, size[1] + -size[1] % m))
    gate = derainer._gate.spec
    return {
        "device": derainer.device.type,
        "backend": backend.name,
        "rain gate": "none" if gate is None else gate.model_dump_json(),
    }


def _laid_out(value: Tensor, stride: tuple[int, ...], device: torch.device) -> Tensor:
    result = torch.empty_strided(tuple(value.shape), stride, dtype=value.dtype, device=device)
    return result.copy_(value)
