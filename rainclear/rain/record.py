"""What it takes to make a rain again, bit for bit: parameters, camera and seed, as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rainclear.errors import ConfigError
from rainclear.rain.camera import Camera
from rainclear.rain.clip import RainClip, RainParams

__all__ = ["RainRecord"]

_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RainRecord:
    """The rain of one clip; the same record and the same clean frames give the same pixels.

    Attributes:
        params: The rain.
        camera: Who looked, with the size of the pictures.
        seed: Seed of all randomness.
        version: Version of the generator; another one may draw other rain.
    """

    params: RainParams
    camera: Camera
    seed: int
    version: int = _VERSION

    @classmethod
    def of(cls, rain: RainClip) -> "RainRecord":
        """The record of a clip that is about to rain, or has."""
        return cls(params=rain.params, camera=rain.camera, seed=rain.seed)

    def clip(self) -> RainClip:
        """The same rain from its first frame on."""
        size = self.camera.height, self.camera.width
        return RainClip(self.params, *size, seed=self.seed, camera=self.camera)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values for ``json.dump``; rain rate in mm/h under ``rate``."""
        data: dict[str, Any] = _plain(asdict(self))
        return {"rate": self.params.rate, **data}

    @classmethod
    def from_json(cls, data: dict[str, Any], *, source: str) -> "RainRecord":
        """The record that :meth:`to_json` wrote; ``source`` names the file in messages.

        Raises:
            ConfigError: Something is missing, unknown or of the wrong kind, or the record is of
                another version of the generator.
        """
        if data.get("version") != _VERSION:
            raise ConfigError(
                f"{source}: is of version {data.get('version')!r} of the rain generator, and this "
                f"is version {_VERSION}; make the rain anew"
            )
        try:
            record = TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{source}: {where}: {first['msg']}") from error
        if unknown := sorted(_names(data) - _names(record.to_json())):
            raise ConfigError(f"{source}: unknown setting {unknown[0]!r}")
        return record


def _plain(value: Any) -> Any:
    """JSON has no infinity (the focus of most cameras): it becomes a word."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    return "Infinity" if value == float("inf") else value


def _names(data: Any, path: str = "") -> set[str]:
    """Dotted names of all values in nested dictionaries."""
    if not isinstance(data, dict):
        return {path}
    parts = (_names(value, f"{path}.{key}".lstrip(".")) for key, value in data.items())
    return set().union(*parts)
