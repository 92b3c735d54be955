"""Deraining inside ``ultralytics.YOLO.val``: at native size, before ultralytics scales pictures.

ultralytics hands a validator batches that are scaled and padded already. Rain that was scaled is
other rain, and the grey border is none, so deraining those would measure something that no user of
:class:`rainclear.detection.DerainPredictor` gets. The pictures are derained where they are read
instead: what reaches the detector is what would if the data set held derained files.
"""

import functools
import math
from pathlib import Path
from typing import Any, ClassVar

import cv2

from rainclear.detection.quiet import import_ultralytics, without_downloads
from rainclear.detection.streams import StreamDerainer
from rainclear.errors import InputError
from rainclear.runtime.gate import GateChoice, RainReading

import_ultralytics()

from ultralytics.models.yolo.detect import DetectionValidator  # noqa: E402
from ultralytics.utils.patches import imread  # noqa: E402

__all__ = ["DerainValidator"]


class DerainValidator(DetectionValidator):
    """Derains every picture of a data set on the validator's device before the detector sees it.

    Each picture stands for itself. A dry one passes bit for bit if the model has a rain gate. The
    metrics that ``model.val`` returns get an attribute ``readings``: the
    :class:`rainclear.runtime.gate.RainReading` of every picture, by its file.

    Pictures are read in this process, as the device is in its hands, and are not cached. Nothing is
    downloaded, nor is the download script of a data set run.

    Example:
        >>> metrics = ultralytics.YOLO("yolo11n.pt").val(
        ...     data="rainy.yaml", validator=DerainValidator
        ... )
        >>> print(metrics.box.map)
        >>> print(sum(not reading.open for reading in metrics.readings.values()), "dry")
    """

    derain_model: ClassVar[str] = "d-daiam-rt"
    precision: ClassVar[str] = "auto"
    gate: ClassVar[GateChoice] = None

    @classmethod
    def configured(
        cls, model: str = "d-daiam-rt", *, precision: str = "auto", gate: GateChoice = None
    ) -> type["DerainValidator"]:
        """This validator with another model or other settings.

        Args:
            model: Name of a model or path of its folder.
            precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
            gate: Rain gate; by default the model's own, if it has one. ``False``: every picture is
                derained.
        """
        settings = {"derain_model": model, "precision": precision, "gate": gate}
        return type("DerainValidator", (cls,), settings)

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> Any:
        """Validate; see ultralytics.

        Raises:
            InputError: The data set is not a YAML file, or its pictures are missing.
            ModelError: The derainer is unknown, has no weights, or has no such gate.
            DeviceError: The derainer does not run on the validator's device.
        """
        data = str(self.args.data)
        if "://" in data or Path(data).suffix.lower() not in (".yaml", ".yml"):
            raise InputError(f"data set {data}: give the YAML file that describes it")
        with without_downloads():
            try:
                return super().__call__(trainer, model, **kwargs)
            except FileNotFoundError as error:
                raise InputError(f"data set {data}: {' '.join(str(error).split())}") from error

    def get_dataloader(self, dataset_path: Any, batch_size: int) -> Any:
        """The loader of ultralytics, in this process."""
        self.args.workers, self.args.cache = 0, False
        return super().get_dataloader(dataset_path, batch_size)

    def build_dataset(self, *args: Any, **kwargs: Any) -> Any:
        """The data set of ultralytics, whose pictures come derained."""
        self._derainer = StreamDerainer(
            self.derain_model, device=str(self.device), precision=self.precision, gate=self.gate
        )
        self._readings: dict[str, RainReading] = {}
        dataset: Any = super().build_dataset(*args, **kwargs)
        dataset.load_image = functools.partial(self._load, dataset)
        return dataset

    def finalize_metrics(self) -> None:
        """Add what the rain gate saw."""
        super().finalize_metrics()
        metrics: Any = self.metrics
        metrics.readings = self._readings

    def _load(
        self, dataset: Any, index: int, *_: Any, **__: Any
    ) -> tuple[Any, tuple[int, int], tuple[int, int]]:
        """Stands for ``BaseDataset.load_image``: the picture, its native and its scaled size.

        The longer side becomes ``imgsz``, the shorter is rounded up, as there.
        """
        file = str(dataset.im_files[index])
        native = imread(file, flags=dataset.cv2_flag)
        if native is None:
            raise InputError(f"{file}: cannot be read as a picture")
        picture = self._derainer(native, None)
        self._readings[file] = picture.reading
        height, width = native.shape[:2]
        longest = max(dataset.imgsz) if isinstance(dataset.imgsz, tuple | list) else dataset.imgsz
        scale = longest / max(height, width)
        fitted = picture.pixels
        if scale != 1:
            size = [min(math.ceil(side * scale), longest) for side in (width, height)]
            fitted = cv2.resize(fitted, size, interpolation=cv2.INTER_LINEAR)
        return fitted, (height, width), fitted.shape[:2]
