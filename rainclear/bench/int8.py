"""A dense 3×3 convolution in int8, for the ceiling; PyTorch has none that is as fast."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rainclear.runtime.backends.quiet import import_quietly

__all__ = ["int8_convolution"]

_LEVELS, _WEIGHTS = 256, 255  # values of a picture in 8 bits, and of a weight: -127 to 127


def int8_convolution(channels: int, side: int) -> Callable[[], Any]:
    """What runs the convolution once in OpenVINO, with as many threads as PyTorch has.

    Bytes in and out, channels last, on a picture of ``side`` × ``side``. It is quantised as the
    backend does it: pictures as a whole, weights by output channel.
    """
    openvino = import_quietly("openvino")
    operations = openvino.opset13
    shape = 1, side, side, channels

    def quantised(source: Any, low: Any, high: Any, levels: int) -> Any:
        ends = [operations.constant(np.float32(end)) for end in (low, high)]
        return operations.fake_quantize(source, *ends, *ends, levels)

    def turned(source: Any, order: list[int]) -> Any:
        return operations.transpose(source, operations.constant(order))

    rng = np.random.default_rng(0)
    weight = rng.uniform(-1, 1, (channels, channels, 3, 3)).astype(np.float32)
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    given = operations.parameter(shape, np.uint8)
    picture = operations.convert(turned(given, [0, 3, 1, 2]), np.float32)
    made = operations.convolution(
        quantised(picture, 0, 255, _LEVELS),
        quantised(operations.constant(weight), -largest, largest, _WEIGHTS),
        *([1, 1] for _ in range(4)),  # strides, padding before and behind, dilations
    )
    out = operations.convert(quantised(made, 0, 255, _LEVELS), np.uint8)
    model = openvino.Model([turned(out, [0, 2, 3, 1])], [given])
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(rng.integers(0, 256, shape, np.uint8)))
    return request.infer
