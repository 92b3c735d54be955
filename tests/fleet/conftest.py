import hashlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import fsspec
import pytest

from rainclear.fleet.settings import FleetSettings, ModelFiles
from rainclear.runtime.jobs import EncodeOptions


@pytest.fixture
def settings(tiny_model: Path) -> FleetSettings:
    """The tiny model on the CPU, encoded fast."""
    return FleetSettings(
        model=ModelFiles.read(str(tiny_model)),
        device="cpu",
        precision="fp32",
        encode=EncodeOptions(preset="ultrafast"),
    )


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's file system in memory, empty."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture
def frames_of() -> Callable[[Path], list[tuple[Fraction, str]]]:
    """Time and hash of every decoded frame."""

    def read(path: Path) -> list[tuple[Fraction, str]]:
        with av.open(str(path)) as video:
            return [
                (f.pts * f.time_base, hashlib.sha256(f.to_ndarray().tobytes()).hexdigest())
                for f in video.decode(video=0)
            ]

    return read
