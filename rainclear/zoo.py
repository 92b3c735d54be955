"""Finds models and checks that their files are what was published. Knows nothing of torch."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from rainclear.config import ModelSpec, load_yaml, parse
from rainclear.errors import ModelError

__all__ = ["ModelFolder", "find_model", "list_models", "models_root"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFolder:
    """A model on disk: its folder and what ``model.yaml`` says."""

    path: Path
    spec: ModelSpec

    @property
    def weights_path(self) -> Path | None:
        """The weight file, or ``None`` when the model ships without weights."""
        return self.path / self.spec.weights.file if self.spec.weights else None

    def checked_weights(self) -> Path:
        """The weight file after its sha256 was compared with the one in ``model.yaml``.

        Raises:
            ModelError: There are no weights, the file is missing, or it was altered.
        """
        path, weights = self.weights_path, self.spec.weights
        if path is None or weights is None:
            raise ModelError(
                f"model {self.spec.name!r} ships without weights; train it first: "
                f"rainclear train {self.spec.name} --data DIR -o OUT"
            )
        if not path.is_file():
            raise ModelError(f"the weights of model {self.spec.name!r} are missing: {path}")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != weights.sha256:
            raise ModelError(
                f"{path} does not match the checksum in model.yaml (sha256 {found[:12]}…, expected "
                f"{weights.sha256[:12]}…); the file was altered or cut off: install it again"
            )
        return path


def models_root() -> Path:
    """Folder of the models that are part of the package."""
    return Path(str(files("rainclear._models")))


def _read(folder: Path) -> ModelFolder:
    file = folder / "model.yaml"
    return ModelFolder(path=folder, spec=parse(ModelSpec, load_yaml(file), source=str(file)))


def list_models() -> list[ModelFolder]:
    """All models of the package, by name."""
    return [_read(file.parent) for file in sorted(models_root().glob("*/model.yaml"))]


def find_model(name: str) -> ModelFolder:
    """A model by its name, or by the path of a folder with a ``model.yaml``.

    Raises:
        ModelError: There is no such model; the message lists those that there are.
    """
    for folder in (models_root() / name, Path(name)):
        if (folder / "model.yaml").is_file():
            return _read(folder)
    known = ", ".join(folder.spec.name for folder in list_models())
    raise ModelError(f"no model named {name!r}; there are: {known} (or give a folder's path)")
