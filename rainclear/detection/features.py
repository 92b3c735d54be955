"""Features inside a detector of ultralytics, with gradients to the pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.detection.yolo import load_yolo
from rainclear.errors import ModelError

__all__ = ["UltralyticsFeatures"]


class UltralyticsFeatures(nn.Module):
    """The outputs of some layers of a frozen YOLO; layers after the last of them are left out.

    Args:
        weights: An ultralytics ``.pt``, read without the full unpickler.
        layers: Their numbers, as ultralytics counts them.
        scale: Pictures are scaled by this first, bilinearly as ultralytics does.

    Raises:
        ModelError: The file is missing, broken or no ``.pt``, ultralytics is not installed, or
            there is no such layer, or it has no features.
    """

    def __init__(self, weights: str | Path, *, layers: Sequence[int], scale: float = 1.0) -> None:
        super().__init__()
        loaded = load_yolo(weights).model
        if not isinstance(loaded, nn.Module):
            raise ModelError(
                f"{weights}: features can be read from a .pt alone, not from an export"
            )
        model: Any = loaded
        model = model.float().fuse(verbose=False)
        every = model.model
        last = len(every) - 2  # the last one is the head: its outputs are boxes
        wrong = [layer for layer in layers if not 0 <= layer <= last]
        if wrong or not layers:
            raise ModelError(f"{weights}: no features of layers {wrong}; it has layers 0 to {last}")
        self.layers, self.scale = tuple(layers), scale
        self.stride = int(max(model.stride))
        self.body = nn.ModuleList(every[: max(layers) + 1])
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Features N×C×h×w of each layer, in the order asked for, of N×3×H×W RGB in [0, 1].

        Sides that are no multiple of the detector's stride are padded with the edge.
        """
        x = pictures
        if self.scale != 1.0:
            x = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        outputs: list[Tensor] = []
        for layer in self.body:
            source: Any = layer.f  # where its input comes from: -1 is the layer before
            if isinstance(source, int):
                given: Any = x if source == -1 else outputs[source]
            else:
                given = [x if i == -1 else outputs[i] for i in source]
            x = layer(given)
            outputs.append(x)
        return [outputs[layer] for layer in self.layers]
