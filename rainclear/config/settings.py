"""Typed, nested settings: YAML is safe-loaded, and unknown keys are refused by name."""

import copy
import difflib
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from rainclear.errors import ConfigError

__all__ = ["Settings", "load_yaml", "parse", "with_overrides"]


class Settings(BaseModel):
    """Base of all settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=BaseModel)


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping with the safe loader.

    Raises:
        ConfigError: The file is missing, is not YAML or is not a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, not {type(data).__name__}")
    return data


def _nested(field: FieldInfo | None) -> type[BaseModel] | None:
    """The settings that a field holds, alone, in a list or where they may be left out."""
    candidates = getattr(field.annotation, "__args__", (field.annotation,)) if field else ()
    nested = (c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return next(nested, None)


def _known_names(kind: type[BaseModel], location: tuple[str | int, ...]) -> dict[str, str]:
    """Full names of the settings that an unknown one at ``location`` may mean, by their last part.

    Outside of all sections this may be one of a section, as ``optim`` is of ``training``.
    """
    for key in location[:-1]:
        section = _nested(kind.model_fields.get(str(key)))
        if section is None:
            return {}
        kind = section
    known: dict[str, str] = {}
    for name, field in kind.model_fields.items() if len(location) == 1 else ():
        section = _nested(field)
        if section is not None and get_origin(field.annotation) not in (list, tuple, dict):
            known |= {below: f"{name}.{below}" for below in section.model_fields}
    return known | {name: name for name in kind.model_fields}


def parse(kind: type[S], data: dict[str, Any], *, source: str) -> S:
    """Check ``data`` against ``kind``; ``source`` names the file or option in messages.

    Raises:
        ConfigError: A key is unknown (the nearest valid name is given), missing, or out of range.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _known_names(kind, first["loc"])
            near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.6)
            here = (name for name, full in known.items() if name == full)
            hint = f"; did you mean {known[near[0]]!r}?" if near else f"; known: {', '.join(here)}"
            raise ConfigError(f"{source}: unknown setting {where!r}{hint}") from error
        raise ConfigError(f"{source}: {where}: {first['msg']}") from error


def with_overrides(data: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Settings with ``a.b=value`` assignments applied; values are read as YAML.

    Raises:
        ConfigError: An assignment has no ``=``, goes through something that is not a mapping, or
            its value is not YAML.
    """
    result = copy.deepcopy(data)
    for assignment in assignments:
        path, found, value = assignment.partition("=")
        if not found or not path:
            raise ConfigError(f"--set {assignment!r}: write it as key.key=value")
        node = result
        *parents, last = path.split(".")
        for key in parents:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--set {assignment!r}: {key!r} holds a value, not settings")
        try:
            node[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment!r}: {value!r} is not valid YAML") from error
    return result
