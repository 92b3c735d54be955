"""Puts convolutions of an OpenVINO model into int8, given the ranges of what they read."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from rainclear.errors import DeviceError
from rainclear.runtime.backends.quiet import import_quietly

__all__ = ["quantise_openvino", "round_to_bytes", "steps_of"]

_STEPS = 255  # 256 values
_LARGEST = 127  # of a weight, on either side
_CONVOLUTIONS = {"Convolution", "GroupConvolution"}
_CLAMPS = {"Clamp", "Maximum", "Minimum"}


def quantise_openvino(
    model: Any, graph: nn.Module, ranges: Mapping[str, tuple[float, float]]
) -> None:
    """Quantise convolutions in place: what they read by ``ranges``, weights by output channel.

    What a layer reads gets 256 steps, one of them exactly 0, as convolutions fill up with that.
    Sums, activations and what reads them stay as they are, so that each value is rounded once
    between two convolutions.

    Args:
        model: An ``openvino.Model`` in float.
        graph: What it was traced from, with the weights that tell which layer is which.
        ranges: By the layers' names in ``graph``.

    Raises:
        DeviceError: The model has not all these layers.
    """
    operations = import_quietly("openvino").opset13
    weights = {name: _weight(graph, name) for name in ranges}
    found: set[str] = set()
    made: dict[tuple[str, int], Any] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() not in _CONVOLUTIONS:
            continue
        kernel = _constant(node.input_value(1))
        if kernel is None:
            continue
        names = [n for n, weight in weights.items() if _same(kernel, weight)]
        if not names:
            continue
        found.update(names)
        # Above a transpose, which is a view of bytes then as it was one of floats.
        reader, source = node, node.input_value(0)
        while source.get_node().get_type_name() == "Transpose":
            reader, source = source.get_node(), source.get_node().input_value(0)
        key = source.get_node().get_friendly_name(), source.get_index()
        if source.get_node().get_type_name() != "FakeQuantize":
            if key not in made:
                made[key] = _quantised(operations, source, *_with_zero(*ranges[names[0]]), _STEPS)
            reader.input(0).replace_source_output(made[key].output(0))
        kernel = kernel.reshape(node.input_value(1).get_shape())  # one axis more for groups
        largest = np.maximum(np.abs(kernel).max(axis=(-3, -2, -1), keepdims=True), 1e-12)
        own = operations.constant(kernel.astype(np.float32)).output(0)
        rounded = _quantised(operations, own, -largest, largest, 2 * _LARGEST)
        node.input(1).replace_source_output(rounded.output(0))
    if found != set(ranges):
        lost = sorted(set(ranges) - found)[0]
        raise DeviceError(f"this network has no layer {lost!r} to run in int8")
    model.validate_nodes_and_infer_types()


def round_to_bytes(model: Any) -> None:
    """Have the layers that give pictures write bytes: what clamps and rounds them is one step.

    OpenVINO lets a convolution do that step as it writes; clamp and rounding would read floats.

    Args:
        model: An ``openvino.Model``, changed in place.
    """
    operations = import_quietly("openvino").opset13
    low, high = (np.full((1, 1, 1, 1), end, np.float32) for end in (0.0, float(_STEPS)))
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Round":
            continue
        source = node.input_value(0)
        while source.get_node().get_type_name() in _CLAMPS:
            source = _varying(source.get_node())
        rounded = _quantised(operations, source, low, high, _STEPS)
        for reader in node.output(0).get_target_inputs():
            reader.replace_source_output(rounded.output(0))
    model.validate_nodes_and_infer_types()


def _varying(node: Any) -> Any:
    """What a clamp by constants reads."""
    sources = [node.input_value(i) for i in range(node.get_input_size())]
    return next(s for s in sources if s.get_node().get_type_name() != "Constant")


def _weight(graph: nn.Module, name: str) -> Any:
    try:
        layer: Any = graph.get_submodule(name)
        return layer.weight.detach().float().numpy()
    except AttributeError:
        return None


def _constant(output: Any) -> Any:
    """The values of a constant, seen through what changes its type or shape."""
    node = output.get_node()
    while node.get_type_name() in {"Convert", "Reshape"}:
        node = node.input_value(0).get_node()
    return node.get_data() if node.get_type_name() == "Constant" else None


def _same(kernel: Any, weight: Any) -> bool:
    return weight is not None and np.array_equal(kernel, weight)


def steps_of(low: float, high: float) -> tuple[float, int]:
    """How wide one of 255 steps between two ends is, and which of the 256 values becomes 0."""
    step = (high - low) / _STEPS
    return step, round(-low / step)


def _with_zero(low: float, high: float) -> tuple[Any, Any]:
    """The range moved by less than half a step, so that one of its values is 0."""
    step, zero = steps_of(low, high)
    ends = np.array([-zero * step, (_STEPS - zero) * step], np.float32)
    return ends[0].reshape(1, 1, 1, 1), ends[1].reshape(1, 1, 1, 1)


def _quantised(operations: Any, source: Any, low: Any, high: Any, steps: int) -> Any:
    ends = operations.constant(low.astype(np.float32)), operations.constant(high.astype(np.float32))
    return operations.fake_quantize(source, *ends, *ends, steps + 1)
