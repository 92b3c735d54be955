"""Files and folders wherever fsspec finds them: this machine, S3, GCS, Azure, SFTP, memory."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rainclear.errors import ConfigError, InputError, OutputError, RainclearError

__all__ = ["Place", "place"]

_URL = re.compile(r"^([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)
# An upload to these appears whole or not at all, and moving there means copying.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"})
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"} | dict.fromkeys(
    ("az", "abfs", "abfss", "adl"), "adlfs"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A file or folder.

    Attributes:
        url: Its name for messages and for other machines: a URL, or an absolute path of a local
            file.
        path: Its name on the file system.
        filesystem: An ``fsspec`` file system; credentials are its affair.
    """

    url: str
    path: str
    filesystem: Any

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def parent(self) -> "Place":
        """The folder it is in."""
        return self._at(self.url.rpartition("/")[0], self.path.rpartition("/")[0] or "/")

    @property
    def local(self) -> Path | None:
        """Its path, if it is on a file system of this machine."""
        return Path(self.path) if "file" in _protocols(self.filesystem) else None

    def __truediv__(self, relative: str) -> "Place":
        return self._at(f"{self.url.rstrip('/')}/{relative}", f"{self.path.rstrip('/')}/{relative}")

    def _at(self, url: str, path: str) -> "Place":
        return Place(url=url, path=path, filesystem=self.filesystem)

    def is_folder(self) -> bool:
        """Whether there is a folder of this name; object stores have it once something is in it."""
        with _reading(self.url):
            return bool(self.filesystem.isdir(self.path))

    def exists(self) -> bool:
        """Whether there is a file or folder of this name."""
        with _reading(self.url):
            return bool(self.filesystem.exists(self.path))

    def size(self) -> int:
        """Bytes of the file."""
        with _reading(self.url):
            return int(self.filesystem.size(self.path) or 0)

    def files(self) -> dict[str, int]:
        """Bytes of every file below, by path relative to this folder; empty if it is missing.

        Raises:
            InputError: The folder cannot be listed.
        """
        with _reading(self.url):
            self.filesystem.invalidate_cache()
            try:
                found = self.filesystem.find(self.path, detail=True)
            except FileNotFoundError:
                return {}
        base = self.path.rstrip("/") + "/"
        return {
            name.removeprefix(base): int(entry.get("size") or 0)
            for name, entry in sorted(found.items())
            if name.startswith(base)
        }

    def fetch(self, target: Path) -> Path:
        """Copy the file to ``target``; a local file stays where it is, and its own path returns.

        Raises:
            InputError: The file is missing or cannot be read.
        """
        if self.local is not None:
            return self.local
        with _reading(self.url):
            self.filesystem.get_file(self.path, str(target))
        return target

    def store(self, source: Path) -> None:
        """Put the file ``source`` here, replacing what is there.

        The name appears with the whole file: object stores do that by themselves, elsewhere the
        file is written beside its name and moved. What an interrupted attempt left is removed.

        Raises:
            OutputError: It cannot be written.
        """
        with _writing(self.url):
            if not _OBJECT_STORES.isdisjoint(_protocols(self.filesystem)):
                self.filesystem.put_file(str(source), self.path)
                return
            self.filesystem.makedirs(self.parent.path, exist_ok=True)
            self._sweep()
            stem, suffix = os.path.splitext(self.name)
            partial = self.parent / f".{stem}.partial-{uuid.uuid4().hex}{suffix}"
            try:
                self.filesystem.put_file(str(source), partial.path)
                _move(self.filesystem, partial.path, self.path)
            except BaseException:
                with suppress(Exception):
                    self.filesystem.rm_file(partial.path)
                raise

    def read_text(self) -> str | None:
        """The file as text, ``None`` if there is none."""
        with _reading(self.url):
            try:
                data: bytes = self.filesystem.cat_file(self.path)
            except FileNotFoundError:
                return None
        return data.decode("utf-8")

    def _sweep(self) -> None:
        stem, suffix = os.path.splitext(self.name)
        self.filesystem.invalidate_cache(self.parent.path)
        for entry in self.filesystem.ls(self.parent.path, detail=False):
            name = PurePosixPath(entry).name
            if name.startswith(f".{stem}.partial-") and name.endswith(suffix):
                with suppress(Exception):  # another attempt may just have moved it
                    self.filesystem.rm_file(entry)


def place(name: str | os.PathLike[str]) -> Place:
    """The place that a URL (``s3://bucket/folder``) or a path of this machine names.

    Raises:
        ConfigError: The package for this kind of URL is not installed, or there is no such kind.
    """
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    text = os.fspath(name)
    url = _URL.match(text)
    scheme = url[1].lower() if url else "file"
    if scheme == "file":
        path = os.path.abspath("/" + text[url.end() :] if url else text)
        return Place(url=path, path=path, filesystem=LocalFileSystem(auto_mkdir=True))
    assert url is not None
    text = f"{scheme}://{text[url.end() :]}"  # a path keeps one slash of the two
    try:
        filesystem, path = fsspec.url_to_fs(text)
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        how = f"install it: pip install {package}" if package else str(error)
        raise ConfigError(f"{text}: {scheme}:// needs a package of its own; {how}") from error
    except ValueError as error:
        raise ConfigError(f"{text}: fsspec knows no such file system: {error}") from error
    return Place(url=text.rstrip("/"), path=path.rstrip("/") or "/", filesystem=filesystem)


def _move(filesystem: Any, old: str, new: str) -> None:
    from fsspec import AbstractFileSystem

    if type(filesystem).mv is not AbstractFileSystem.mv:
        filesystem.mv(old, new)
        return
    # It cannot rename, and fsspec's substitute takes brackets in names for patterns.
    filesystem.cp_file(old, new)
    filesystem.rm_file(old)


def _protocols(filesystem: Any) -> frozenset[str]:
    names = filesystem.protocol
    return frozenset((names,) if isinstance(names, str) else names)


@contextmanager
def _reading(url: str) -> Iterator[None]:
    with _as(InputError, url, "cannot be read"):
        yield


@contextmanager
def _writing(url: str) -> Iterator[None]:
    with _as(OutputError, url, "cannot be written"):
        yield


@contextmanager
def _as(kind: type[RainclearError], url: str, doing: str) -> Iterator[None]:
    # Each file system has error classes of its own, many of them no OSError.
    try:
        yield
    except RainclearError:
        raise
    except FileNotFoundError as error:
        raise kind(f"{url}: no such file or folder") from error
    except PermissionError as error:
        raise kind(f"{url}: {doing}: no permission; check the credentials") from error
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise kind(f"{url}: {doing}: {reason}") from error
