"""How a fleet derains: the same for each of its workers."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rainclear.config import GateSpec
from rainclear.runtime.jobs import EncodeOptions
from rainclear.runtime.load import refuse_halves
from rainclear.zoo import find_model

if TYPE_CHECKING:
    from rainclear.runtime.gate import GateChoice

__all__ = ["FleetSettings", "ModelFiles"]

_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFiles:
    """A model as it travels to the workers, so that all of them run the same weights.

    Attributes:
        name: Its name, for messages.
        sha256: Checksum of the weights.
        files: Contents of ``model.yaml`` and of the weight file, by name.
    """

    name: str
    sha256: str
    files: dict[str, bytes] = field(repr=False)

    @classmethod
    def read(cls, model: str) -> "ModelFiles":
        """The files of a model by its name or folder.

        Raises:
            ModelError: There is no such model, it takes dual-pixel halves, it has no weights, or
                they were altered.
        """
        folder = find_model(model)
        refuse_halves(folder)
        weights = folder.checked_weights()
        assert folder.spec.weights is not None  # or there were none to check
        paths = (folder.path / "model.yaml", weights)
        return cls(
            name=folder.spec.name,
            sha256=folder.spec.weights.sha256,
            files={path.name: path.read_bytes() for path in paths},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetSettings:
    """How every file is derained.

    Attributes:
        model: The network.
        device: ``auto``, ``cpu`` or ``cuda``: what a worker gets a share of. ``auto`` takes GPUs
            where the fleet has any.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        backend: As for :class:`rainclear.Derainer`; ``auto`` is ``eager`` here, as workers that
            measured while others work could each come to another choice.
        gate: Rain gate; ``None`` for the model's own, if it has one.
        compare: Write rainy | derained side by side.
        encode: Codec, quality and speed of videos.
        overwrite: Whether existing outputs are replaced, finished ones too.
    """

    model: ModelFiles
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    gate: "GateChoice" = None
    compare: bool = False
    encode: EncodeOptions = EncodeOptions()
    overwrite: bool = False

    def manifest(self) -> dict[str, Any]:
        """What decides on the pictures of an output, as plain values."""
        gate = self.gate.model_dump(mode="json") if isinstance(self.gate, GateSpec) else self.gate
        return {
            "format": _FORMAT,
            "model": self.model.name,
            "weights": self.model.sha256,
            "precision": self.precision,
            "backend": self.backend,
            "gate": gate,
            "compare": self.compare,
            "encode": asdict(self.encode),
        }
