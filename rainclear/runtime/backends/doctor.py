"""What ``rainclear doctor`` finds: the machine, the backends, and what ``auto`` would choose."""

from typing import Any

from rainclear.errors import RainclearError
from rainclear.runtime.backends.auto import candidates, known_choice, tune
from rainclear.runtime.backends.base import BACKENDS
from rainclear.runtime.backends.cache import cache_folder
from rainclear.runtime.backends.machine import inspect_machine
from rainclear.runtime.backends.make import make_backend, make_program
from rainclear.runtime.backends.open import subject_of
from rainclear.runtime.device import resolve_device
from rainclear.runtime.load import load_single, network_of
from rainclear.zoo import find_model

__all__ = ["examine"]


def examine(
    model: str = "d-daiam-rt",
    *,
    size: tuple[int, int] = (720, 1280),
    device: str = "auto",
    precision: str = "auto",
    run: bool = False,
) -> dict[str, Any]:
    """Look at the machine and say how it would run a model.

    Args:
        model: Name of a model or path of its folder.
        size: Height and width of the frames, rounded up to what the network takes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: auto, fp32, bf16 or fp16.
        run: Measure the backends now, whatever was known.

    Returns:
        Plain values for JSON: ``machine``, ``device``, ``backends`` (name to whether it is usable,
        and why not), ``cache`` and ``auto`` (backend, reason, timings, when they were
        measured and the load average then).

    Raises:
        ModelError: The model is unknown or has no weights.
        DeviceError: This machine has no such device, or the model no such precision there.
    """
    folder = find_model(model)
    descriptor = network_of(folder.spec.architecture)
    where = resolve_device(device)
    network = load_single(model)
    # A precision that is unknown or impossible here is one error, not one for each backend.
    make_program(network, descriptor, backend="eager", device=where, precision=precision)
    usable: dict[str, Any] = {}
    for name in BACKENDS:
        try:
            program = make_program(
                network, descriptor, backend=name, device=where, precision=precision
            )
            make_backend(name, program)
            usable[name] = {"usable": True, "precision": str(program.dtype).split(".")[-1]}
        except RainclearError as error:
            usable[name] = {"usable": False, "why": str(error)}
    m = descriptor.size_multiple
    padded = size[0] + -size[0] % m, size[1] + -size[1] % m
    subject = subject_of(folder, where, precision)
    choice = tune(network, descriptor, subject, padded) if run else known_choice(subject, padded)
    label = f"{padded[1]}x{padded[0]}"
    if choice is None:
        weighed = ", ".join(name for name in candidates(where, precision) if usable[name]["usable"])
        auto: dict[str, Any] = {
            "backend": "eager",
            "reason": f"{label} was not measured on this machine yet: the first video of some "
            f"length, or --measure, will time {weighed}",
            "measured": None,
            "load": None,
            "timings": [],
        }
    else:
        known = choice.model_dump(mode="json")
        auto = {
            "backend": next(name for name in choice.ranking if usable[name]["usable"]),
            "reason": f"fastest of those whose pictures agree with PyTorch's at {label}",
            "measured": known["measured"],
            "load": known["load"],
            "timings": known["timings"],
        }
    kept = cache_folder()
    return {
        "machine": inspect_machine().as_dict(),
        "model": folder.spec.name,
        "size": list(padded),
        "device": str(where),
        "backends": usable,
        "cache": str(kept) if kept else None,
        "auto": auto,
    }
