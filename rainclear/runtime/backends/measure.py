"""Runs backends side by side: are their numbers right, and which is fastest?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from rainclear.errors import RainclearError
from rainclear.nn.output import Derained
from rainclear.nn.registry import Network
from rainclear.runtime.backends.base import Backend, BackendName, Program, byte_backend
from rainclear.runtime.backends.eager import EagerBackend
from rainclear.runtime.backends.make import make_backend, make_program

__all__ = ["Timing", "agreement", "feed", "in_one_line", "measure", "moving_frames"]

_FRAMES = 3
_ROUNDS = 7
_SECONDS = 0.5
"""Rounds go on for that long: another program may hold the cores for as long as seven of 5 ms."""
_MOST_ROUNDS = 50
_HOPELESS = 2.0
"""Times as long as the fastest, at best of two frames: what takes that is timed no further."""
_EXACT = 2 / 255
_REDUCED = 45.0  # dB; a reduced format errs a little everywhere, rounding errs more
_INT8 = 40.0  # dB; what int8 costs was judged on a clip when it was made


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How one backend did.

    Attributes:
        backend: Its name.
        precision: Number format it computed in, as PyTorch calls it.
        ms: Least time of a frame in milliseconds; ``None`` if it was not timed.
        error: Largest difference from fp32 in eager mode, in levels of 0..255.
        problem: Why it was not timed; empty if it was.
    """

    backend: BackendName
    precision: str = ""
    ms: float | None = None
    error: float | None = None
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def moving_frames(
    size: tuple[int, int], count: int, device: torch.device | str = "cpu"
) -> list[Tensor]:
    """A smooth picture that moves, with a little noise; 1×3×H×W in whole levels of [0, 1]."""
    height, width = size
    generator = torch.Generator().manual_seed(0)
    y = torch.linspace(0, 6.0, height)[:, None]
    x = torch.linspace(0, 9.0, width)[None]
    frames = []
    for t in range(count):
        waves = [torch.sin(x + c + 0.1 * t) * torch.cos(y - 0.5 * c) for c in range(3)]
        noise = torch.randn(3, height, width, generator=generator)
        frame = (0.5 + 0.4 * torch.stack(waves) + 0.03 * noise).clamp(0, 1)[None]
        frame = (255 * frame).round() / 255
        frames.append(frame.contiguous(memory_format=torch.channels_last).to(device))
    return frames


def feed(
    backend: Backend, frames: Sequence[Tensor]
) -> tuple[Callable[[Tensor, tuple[Tensor, ...] | None], Derained], list[Tensor]]:
    """How a stream of 8-bit pictures reaches a backend: what to call, and with what.

    Args:
        backend: Any.
        frames: 1×3×H×W in whole levels of [0, 1].
    """
    taker = byte_backend(backend)
    if taker is None:
        return backend.run, list(frames)
    levels = [(255 * frame).round().to(torch.uint8) for frame in frames]
    return taker.run_bytes, [frame.permute(0, 2, 3, 1).contiguous() for frame in levels]


def agreement(
    backend: Backend,
    wanted: Sequence[Tensor],
    frames: Sequence[Tensor],
    *,
    dtype: torch.dtype = torch.float32,
) -> Timing:
    """Compare a backend's clamped pictures with ``wanted``, its own state carried along.

    Args:
        backend: Any.
        wanted: What eager fp32 makes of the frames, clamped.
        frames: 1×3×H×W in whole levels of [0, 1].
        dtype: What the backend computes in. In float32 every pixel must be within 2/255: a seam
            that is 20 levels off hardly shows in a PSNR.
    """
    least = _least_psnr(backend.name, dtype)
    state, worst, squares = None, 0.0, 0.0
    run, fed = feed(backend, frames)
    for frame, want in zip(fed, wanted, strict=True):
        out = run(frame, state)
        state = out.state
        image = out.image.float().clamp(0, 1) if out.image.is_floating_point() else out.image / 255
        gap = (image - want).abs()
        worst = max(worst, float(gap.max()))
        squares += float(gap.square().mean()) / len(frames)
    exact = worst <= _EXACT
    close = least is not None and squares <= 10 ** (-least / 10)
    problem = "" if exact or close else f"its pictures differ by up to {255 * worst:.1f} levels"
    return Timing(backend="eager", error=255 * worst, problem=problem)


def _least_psnr(name: str, dtype: torch.dtype) -> float | None:
    """PSNR that suffices instead of exact pictures; ``None`` where none does."""
    if name == "openvino-int8":
        return _INT8
    return None if dtype == torch.float32 else _REDUCED


def measure(
    network: nn.Module,
    descriptor: Network,
    size: tuple[int, int],
    *,
    names: Sequence[BackendName],
    device: torch.device,
    precision: str = "auto",
) -> list[Timing]:
    """Time backends on single frames of ``size`` (height, width), taking turns.

    Each is checked first: pictures within 2/255 of eager fp32 over three frames with state, or, in
    a reduced number format, a PSNR of 45 dB against them, in int8 40 dB. Backends that take 8-bit
    pictures get them. Taking turns, a busy machine slows all of them alike.

    The least time counts, not the median: other programs only ever add to it, and where they hold
    the cores, threads that wait for each other by spinning take 100 times as long in most frames.
    The choice is kept for good, so it should be that of the machine at rest.

    Returns:
        One timing for each name, in their order; those that do not run here say why.
    """
    frames = moving_frames(size, _FRAMES, device)
    reference = EagerBackend(Program(network=network, descriptor=descriptor, device=device))
    wanted, state = [], None
    for frame in frames:
        out = reference.run(frame, state)
        wanted.append(out.image.clamp(0, 1).clone())
        state = out.state
    results: dict[BackendName, Timing] = {}
    ready: dict[BackendName, Backend] = {}
    for name in names:
        try:
            program = make_program(
                network, descriptor, backend=name, device=device, precision=precision
            )
            backend = make_backend(name, program)
            backend.prepare(size)
            checked = agreement(backend, wanted, frames, dtype=program.dtype)
        except Exception as error:  # whatever a runtime fails with, there are others
            results[name] = Timing(backend=name, problem=in_one_line(error))
            continue
        results[name] = Timing(
            backend=name,
            precision=str(program.dtype).removeprefix("torch."),
            error=checked.error,
            problem=checked.problem,
        )
        if not checked.problem:
            ready[name] = backend
    best, failed = _take_turns(ready, frames, device)
    results |= {name: replace(results[name], ms=ms) for name, ms in best.items()}
    results |= {n: replace(results[n], problem=in_one_line(e)) for n, e in failed.items()}
    return [results[name] for name in names]


def in_one_line(error: Exception) -> str:
    """What went wrong, with the kind of error where it is none of ours."""
    line = (str(error).strip().splitlines() or [""])[0]
    return line if isinstance(error, RainclearError) else f"{type(error).__name__}: {line}"


def _take_turns(
    ready: dict[BackendName, Backend], frames: Sequence[Tensor], device: torch.device
) -> tuple[dict[BackendName, float], dict[BackendName, Exception]]:
    """Least milliseconds of each, and what those failed with that did not go on to the end."""
    times: dict[BackendName, list[float]] = {name: [] for name in ready}
    failed: dict[BackendName, Exception] = {}
    states: dict[BackendName, tuple[Tensor, ...] | None] = dict.fromkeys(ready)
    fed = {name: feed(backend, frames) for name, backend in ready.items()}
    begun = time.perf_counter()
    for i in range(_MOST_ROUNDS + 1):
        for name, (run, taken) in list(fed.items()):
            started = time.perf_counter()
            try:
                out = run(taken[i % len(taken)], states[name])
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
            except Exception as error:  # all of them together may not fit into the memory
                failed[name] = error
                del fed[name], times[name]
                continue
            times[name].append(1000 * (time.perf_counter() - started))
            states[name] = out.state
        best = {name: min(values[1:]) for name, values in times.items() if i}  # 1st: warm-up
        if i == 2:  # a large network takes seconds a frame, and nobody wants to wait for the slow
            limit = _HOPELESS * min(best.values(), default=0.0)
            fed = {name: fed[name] for name in fed if best[name] <= limit}
        if i >= _ROUNDS and time.perf_counter() - begun >= _SECONDS:
            break
    return best, failed
