"""A network as a plain function of tensors, as exported files and graph runtimes need it.

The state becomes explicit: ``state_0``, ``state_1``, ... go in beside ``frame``, and the tensors
that are the state of the next frame come out. Where a state is one of the other outputs (the
previous picture is), it is not written twice: ``feedback`` says which output each state comes from.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from rainclear.errors import ModelError
from rainclear.nn.output import Branch, Derained, Stage
from rainclear.nn.registry import Network
from rainclear.runtime.backends.base import start_state

__all__ = ["Graph", "Signature", "example_inputs", "onnx_bytes", "signature_of", "traced"]

_OPSET = 17


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """Names of a graph's inputs and outputs.

    Attributes:
        inputs: ``frame`` (N×3×H×W, RGB in [0, 1]), then the states.
        outputs: ``image`` (N×3×H×W, not clamped), ``streaks`` and ``drops`` where the network has
            them (S⁺, N×1×H×W), then states that are no other output.
        feedback: State input to the output it is taken from for the next frame.
        initial: State input to what it is before the first frame: the frame itself, or zeros.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    feedback: dict[str, str]
    initial: dict[str, Literal["frame", "zeros"]]

    def answer(self, values: Sequence[Tensor]) -> Derained:
        """The network's answer from the graph's outputs."""
        named = dict(zip(self.outputs, values, strict=True))

        def branch(name: str) -> Branch | None:
            if name not in named:
                return None
            return Branch(attention=named[name], heavy=None, light=None, image=None)

        state = tuple(named[output] for output in self.feedback.values()) or None
        stage = Stage(named["image"], branch("streaks"), branch("drops"))
        return Derained(named["image"], state, (stage,))


@torch.no_grad()
def signature_of(network: nn.Module, descriptor: Network) -> Signature:
    """Find out what goes in and comes out, by running the network once on a small picture.

    Raises:
        ModelError: The network does not take one picture and its state.
    """
    side = max(32, 4 * descriptor.size_multiple)
    weight = next(network.parameters())
    frame = torch.rand(1, 3, side, side, dtype=weight.dtype, device=weight.device)
    try:
        before = start_state(network, frame)
        out: Derained = network(frame, before or None)
        after = out.state or ()
    except (TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(
            f"network {descriptor.name!r} does not take one picture and its state; backends other "
            "than eager and export cannot run it"
        ) from error
    outputs = ["image", *(name for name in ("streaks", "drops") if getattr(out, name) is not None)]
    feedback: dict[str, str] = {}
    initial: dict[str, Literal["frame", "zeros"]] = {}
    for i, (first, following) in enumerate(zip(before, after, strict=True)):
        name = f"state_{i}"
        if first is not frame and first.any():
            raise ModelError(
                f"network {descriptor.name!r}: state {i} begins as neither 0 nor frame"
            )
        initial[name] = "frame" if first is frame else "zeros"
        feedback[name] = "image" if following is out.image else f"next_{name}"
        if following is not out.image:
            outputs.append(feedback[name])
    return Signature(
        inputs=("frame", *feedback), outputs=tuple(outputs), feedback=feedback, initial=initial
    )


class Graph(nn.Module):
    """The network with flat inputs and outputs in the order of its signature.

    Args:
        network: Folded and in evaluation mode.
        signature: Its signature.
        half: Compute in float16; inputs and outputs stay float32. The network is converted.
    """

    def __init__(self, network: nn.Module, signature: Signature, *, half: bool = False) -> None:
        super().__init__()
        self.network = (network.half() if half else network).requires_grad_(False)
        self.signature = signature
        self.half_precision = half

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Map ``frame`` and states to the outputs."""
        if self.half_precision:
            frame, state = frame.half(), tuple(s.half() for s in state)
        out: Derained = self.network(frame, tuple(state) or None)
        values = {"image": out.image}
        for name, branch in (("streaks", out.streaks), ("drops", out.drops)):
            if branch is not None:
                values[name] = branch.attention
        for source, tensor in zip(self.signature.feedback.values(), out.state or (), strict=True):
            values.setdefault(source, tensor)
        results = [values[name] for name in self.signature.outputs]
        return tuple(r.float() if self.half_precision else r for r in results)


def example_inputs(network: nn.Module, shape: tuple[int, int, int]) -> tuple[Tensor, ...]:
    """A frame of N, height and width as ``shape`` says and its first state, float32, contiguous."""
    count, height, width = shape
    weight = next(network.parameters())
    frame = torch.rand(count, 3, height, width, device=weight.device)
    return (frame, *(s.clone() for s in start_state(network, frame)))


def onnx_bytes(graph: Graph, inputs: tuple[Tensor, ...], *, dynamic: bool = False) -> bytes:
    """The graph as an ONNX model (opset 17), height and width free where ``dynamic``.

    Raises:
        ModelError: This PyTorch cannot write it.
    """
    signature = graph.signature
    axes: dict[str, dict[int, str]] = {}
    if dynamic:
        for name in (*signature.inputs, *signature.outputs):
            scaled = name.removeprefix("next_").startswith("state_")
            prefix = f"{name.removeprefix('next_')}_" if scaled else ""
            axes[name] = {2: f"{prefix}height", 3: f"{prefix}width"}
    return traced(graph, inputs, names=(signature.inputs, signature.outputs), axes=axes)


def traced(
    graph: nn.Module,
    inputs: tuple[Tensor, ...],
    *,
    names: tuple[Sequence[str], Sequence[str]],
    axes: dict[str, dict[int, str]] | None = None,
) -> bytes:
    """A module as an ONNX model (opset 17).

    Args:
        graph: Tensors in, a tuple of tensors out.
        inputs: An example of what goes in.
        names: Of the inputs and of the outputs.
        axes: Free dimensions, by name of the input or output.

    Raises:
        ModelError: This PyTorch cannot write it.
    """
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter: it needs no package but onnx, takes one second instead of thirty,
        # and this code has no branches on values. It warns of its age and of traced sizes.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                graph,
                inputs,
                file,  # type: ignore[arg-type]  # the tracing exporter takes open files
                dynamo=False,
                opset_version=_OPSET,
                input_names=list(names[0]),
                output_names=list(names[1]),
                dynamic_axes=axes or {},
            )
        except (RuntimeError, ImportError, TypeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"this network cannot be written as ONNX: {reason}") from error
    return file.getvalue()
