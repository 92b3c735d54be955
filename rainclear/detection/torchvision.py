"""Detectors of torchvision, with weights from a file."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from rainclear.detection.coco import COCO_IDS_91
from rainclear.detection.detections import Detections, Pixels
from rainclear.detection.files import require_file
from rainclear.errors import ModelError
from rainclear.runtime.device import resolve_device

__all__ = ["TorchvisionDetector"]

_LONGEST = 160


class TorchvisionDetector:
    """A torchvision detector trained on COCO as a :class:`rainclear.detection.Detector`.

    Args:
        builder: Name of its function in ``torchvision.models.detection``.
        weights: State dictionary with COCO's 91 classes, ``.pth`` or ``.safetensors``; pickled
            code in it is refused.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        confidence: Boxes of a lower score are dropped.

    Raises:
        ModelError: There is no such builder, or the file is missing or does not fit it.
        DeviceError: This machine has no such device.
    """

    def __init__(
        self,
        builder: str,
        weights: str | Path,
        *,
        device: str = "auto",
        confidence: float = 0.25,
    ) -> None:
        try:
            from torchvision.models import detection, get_model, list_models
        except ImportError as error:
            raise ModelError(
                "this detector needs torchvision: pip install 'rainclear[detect]'"
            ) from error
        path = require_file(Path(weights))
        if builder not in (known := list_models(module=detection)):
            raise ModelError(
                f"torchvision has no detector {builder!r}; there are: {', '.join(known)}"
            )
        self._device = resolve_device(device)
        self._confidence = confidence
        network = get_model(builder, weights=None, weights_backbone=None, num_classes=91)
        state = _state(path)
        try:
            network.load_state_dict(state)
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            if len(reason) > _LONGEST:
                reason = f"{reason[:_LONGEST]} …"
            raise ModelError(
                f"{path} does not fit {builder!r}: {reason}; give a state dictionary of this "
                "detector with COCO's 91 classes"
            ) from error
        self._network = network.to(self._device).eval()

    @torch.inference_mode()
    def __call__(self, frames: list[Pixels]) -> list[Detections]:
        """Detect in H×W×3 uint8 RGB pictures, one by one, as their sizes may differ."""
        return [self._one(frame) for frame in frames]

    def _one(self, frame: Pixels) -> Detections:
        pixels = torch.from_numpy(frame.copy()).to(self._device).permute(2, 0, 1).float() / 255.0
        out = {key: value.cpu().numpy() for key, value in self._network([pixels])[0].items()}
        found = Detections.of(out["boxes"], out["scores"], out["labels"])
        return found.select(found.scores >= self._confidence).renumbered(COCO_IDS_91)


def _state(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # broken files raise whatever the unpickler stumbles over
        # Torch's own text recommends to run the code that the file holds.
        raise ModelError(
            f"{path} cannot be read as weights ({type(error).__name__}): it is damaged, or holds "
            "more than tensors; give a state dictionary, .pth or .safetensors"
        ) from error
