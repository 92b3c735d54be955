"""The state of a :class:`rainclear.Derainer` as a file.

A derainer that gets it back goes on bit for bit as if never interrupted.
"""

import json
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rainclear.errors import InputError
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.hysteresis import GateState
from rainclear.runtime.stream_state import StreamState

__all__ = ["carried", "restore", "settings_of"]

_NETWORK = "state."
_FORM = "3"
"""Of the states that backends hand out; raised where one comes to mean something else."""
_STRIDES = "strides"


def carried(derainer: Derainer) -> bytes:
    """What is carried beyond the last frame, in the format of safetensors."""
    state = derainer.state
    tensors = {f"{_NETWORK}{number}": value for number, value in enumerate(state.network or ())}
    tensors["frames"] = torch.tensor(state.frames)
    if state.thumbnail is not None:
        tensors["thumbnail"] = state.thumbnail
    if state.size is not None:
        tensors["size"] = torch.tensor(state.size)
    if state.in_bytes is not None:
        tensors["in_bytes"] = torch.tensor(state.in_bytes)
    if state.gate is not None:
        tensors["gate"] = torch.tensor([int(state.gate.open), state.gate.below])
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
    tensors = {
        name: _laid_out(value, tuple(strides[name]), derainer.device)
        for name, value in stored.items()
        if name.startswith(_NETWORK) or name == "thumbnail"
    }
    count = sum(name.startswith(_NETWORK) for name in tensors)
    numbers = {name: value.tolist() for name, value in stored.items() if name not in tensors}
    gate = numbers.get("gate")
    size = numbers.get("size")
    derainer.restore(
        StreamState(
            network=tuple(tensors[f"{_NETWORK}{n}"] for n in range(count)) or None,
            frames=numbers.get("frames", 0),
            in_bytes=numbers.get("in_bytes"),
            thumbnail=tensors.get("thumbnail"),
            size=None if size is None else (size[0], size[1]),
            gate=None if gate is None else GateState(open=bool(gate[0]), below=gate[1]),
        )
    )


def settings_of(derainer: Derainer, size: tuple[int, int]) -> dict[str, str]:
    """What decides on the pictures that a derainer makes of frames of ``size``, for people.

    Args:
        derainer: After its ``prepare`` for that size.
        size: Height and width.
    """
    return {
        "device": derainer.device.type,
        "backend": derainer.backend_for(size),
        "form of the state": _FORM,
        "rain gate": "none" if derainer.gate is None else derainer.gate.model_dump_json(),
    }


def _laid_out(value: Tensor, stride: tuple[int, ...], device: torch.device) -> Tensor:
    result = torch.empty_strided(tuple(value.shape), stride, dtype=value.dtype, device=device)
    return result.copy_(value)
