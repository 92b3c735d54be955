"""Deraining inside ``ultralytics.YOLO.predict``: at native size, before the letterbox.

Dry pictures pass the rain gate to the detector bit for bit; see :mod:`rainclear.runtime.gate`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rainclear.detection.quiet import import_ultralytics
from rainclear.detection.streams import DerainedPicture, StreamDerainer
from rainclear.runtime.gate import GateChoice, RainReading

import_ultralytics()

from ultralytics.engine.results import Results  # noqa: E402
from ultralytics.models.yolo.detect import DetectionPredictor  # noqa: E402

__all__ = ["DerainPredictor", "DerainedResults"]

BGR = npt.NDArray[np.uint8]


class DerainedResults(Results):
    """Results of a picture that was derained first; boxes are in its native pixels.

    ``orig_img`` is the picture as it came; draw on the derained one with
    ``result.plot(img=result.derained)``.

    Attributes:
        rainy: The picture as it came, H×W×3 uint8 BGR.
        derained: The picture that the detector saw, before the letterbox, of the same shape; equal
            to ``rainy`` where the rain gate is closed.
        reading: The rain in it: ``score``, ``open`` (whether the gate let the derained picture go
            on) and shares of the picture.
    """

    rainy: BGR
    derained: BGR
    reading: RainReading

    @property
    def rain_score(self) -> float:
        """How rainy the picture was, 0..1."""
        return self.reading.score

    @classmethod
    def of(cls, result: Any, picture: DerainedPicture) -> "DerainedResults":
        """``result`` with the pictures of one frame."""
        self = cls(orig_img=result.orig_img, path=result.path, names=result.names)
        self.boxes, self.speed, self.save_dir = result.boxes, result.speed, result.save_dir
        self.rainy, self.derained = result.orig_img, picture.pixels
        self.reading = picture.reading
        return self

    def new(self) -> "DerainedResults":
        """An empty result of the same picture; slicing and tracking go through it."""
        picture = DerainedPicture(pixels=self.derained, reading=self.reading)
        fresh = DerainedResults.of(super().new(), picture)
        fresh.rainy = self.rainy
        return fresh


class DerainPredictor(DetectionPredictor):
    """Derains every picture before the detector sees it.

    Frames of a video and of each batched stream carry the network's state and the rain gate's, in
    their order; both are dropped when a call begins and at the next file, the network's at a cut
    too. Pictures, arrays and tensors are stills: each stands for itself, unless :meth:`configured`
    says that arrays are a clip.

    A dry picture passes to the detector bit for bit if the model has a rain gate; the network still
    looks at it.

    The weights of the derainer are loaded once for each call of ``predict`` that makes a new
    predictor, and shared by all streams.

    Example:
        >>> model = ultralytics.YOLO("yolo11n.pt")
        >>> for result in model.predict("in.mp4", stream=True, predictor=DerainPredictor):
        ...     print(result.reading.open, result.rain_score, result.boxes.xyxy)
    """

    derain_model: ClassVar[str] = "d-daiam-rt"
    precision: ClassVar[str] = "auto"
    arrays: ClassVar[Literal["stills", "clip"]] = "stills"
    gate: ClassVar[GateChoice] = None

    @classmethod
    def configured(
        cls,
        model: str = "d-daiam-rt",
        *,
        precision: str = "auto",
        arrays: Literal["stills", "clip"] = "stills",
        gate: GateChoice = None,
    ) -> type["DerainPredictor"]:
        """This predictor with another model or other settings; keep it and give it to each call.

        Args:
            model: Name of a model or path of its folder.
            precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
            arrays: ``clip``: arrays and tensors, within a call and from call to call, are
                successive frames of one camera, as in a loop over ``camera.read()``.
            gate: Rain gate; by default the model's own, if it has one. ``False``: every picture is
                derained. A gate of :func:`rainclear.runtime.gate.read_gate` is one for your camera.
        """
        settings = {"derain_model": model, "precision": precision, "arrays": arrays, "gate": gate}
        return type("DerainPredictor", (cls,), settings)

    def setup_model(self, model: Any, verbose: bool = True) -> None:
        """Load the detector, then the derainer onto the same device."""
        super().setup_model(model, verbose=verbose)
        self._derainer = StreamDerainer(
            self.derain_model, device=str(self.device), precision=self.precision, gate=self.gate
        )
        self._pictures: list[DerainedPicture] = []

    def setup_source(self, source: Any, stride: int | None = None) -> None:
        """Open the source of a call; streams begin anew."""
        super().setup_source(source, stride)
        if self.arrays == "stills" or not self._in_memory():
            self._derainer.reset()

    def preprocess(self, im: Tensor | list[BGR]) -> Tensor:
        """Derain at native size, then letterbox as ultralytics does."""
        keys = self._streams(len(im))
        self._derainer.keep(keys)
        if isinstance(im, Tensor):
            return super().preprocess(self._derain_tensor(im, keys))
        self._pictures = [self._derain(p, k) for p, k in zip(im, keys, strict=True)]
        return super().preprocess([picture.pixels for picture in self._pictures])

    def _derain_tensor(self, im: Tensor, keys: Sequence[str | None]) -> Tensor:
        """N×3×H×W in [0, 1], where pictures that the gate passes keep every bit."""
        levels = im.float().mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        self._pictures = [
            self._derain(np.ascontiguousarray(rgb[..., ::-1]), key)
            for rgb, key in zip(levels, keys, strict=True)
        ]
        out = im.clone()
        for place, picture in zip(out, self._pictures, strict=True):
            if picture.reading.open:
                rgb = torch.from_numpy(np.ascontiguousarray(picture.pixels[..., ::-1]))
                place.copy_(rgb.permute(2, 0, 1).float().div(255))
        return out

    def construct_results(self, preds: Any, img: Tensor, orig_imgs: Any) -> list[DerainedResults]:
        """The detector's results with both pictures."""
        results = super().construct_results(preds, img, orig_imgs)
        return [
            DerainedResults.of(result, picture)
            for result, picture in zip(results, self._pictures, strict=True)
        ]

    def _derain(self, bgr: BGR, stream: str | None) -> DerainedPicture:
        kind: Any = self.source_type
        frames = None if kind.stream else getattr(self.dataset, "frames", None) or 0
        return self._derainer(np.ascontiguousarray(bgr), stream, frames=frames)

    def _in_memory(self) -> bool:
        kind: Any = self.source_type
        return bool(kind.from_img or kind.tensor)

    def _streams(self, count: int) -> Sequence[str | None]:
        """What each picture of the batch belongs to; ``None`` for a still."""
        if self._in_memory():
            return ["clip" if self.arrays == "clip" else None] * count
        kind: Any = self.source_type
        if kind.stream or kind.screenshot:
            return [f"stream {slot}" for slot in range(count)]
        dataset: Any = self.dataset
        paths: Any = self.batch and self.batch[0]
        flags = zip(dataset.files, dataset.video_flag, strict=True)
        videos = {str(file) for file, is_video in flags if is_video}
        return [str(path) if str(path) in videos else None for path in paths]
