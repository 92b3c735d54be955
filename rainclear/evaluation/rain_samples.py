"""What a network sees of the rain in clean and rainy files, for calibrating its rain gate."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rainclear.data.synth import rain_on_frame
from rainclear.errors import InputError
from rainclear.frame import Frame
from rainclear.nn.output import Derained
from rainclear.rain.clip import RainClip
from rainclear.rain.presets import preset
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.gate import RainGate, RainReading, Statistics, statistics_of
from rainclear.runtime.load import load_single, network_of
from rainclear.video import VideoReader, is_image, is_video, read_image
from rainclear.zoo import find_model

__all__ = ["RainSample", "collect_samples"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RainSample:
    """One clip or still, as the network saw it.

    Attributes:
        name: Its file.
        rain: ``clean``, ``rainy``, or the preset that it was rained on with.
        scene: What it shares with samples of the same scene: they are held out together.
        statistics: N×10 float64, see :data:`rainclear.runtime.gate.Statistics`; N frames in order.
        fresh: N, whether the network had no state yet.
    """

    name: str
    rain: str
    scene: str
    statistics: npt.NDArray[np.float64]
    fresh: npt.NDArray[np.bool_]

    @property
    def rainy(self) -> bool:
        """Whether the gate should be open."""
        return self.rain != "clean"


class _Probe(RainGate):
    """Keeps the statistics of every frame."""

    def __init__(self) -> None:
        super().__init__(None)
        self.seen: list[Statistics] = []
        self.fresh: list[bool] = []

    def __call__(
        self, out: Derained, height: int, width: int, *, fresh: bool = False
    ) -> RainReading:
        self.seen.append(statistics_of(out, height, width))
        self.fresh.append(fresh)
        return RainReading(score=0.0)


def collect_samples(
    model: str,
    *,
    clean: Sequence[Path],
    rainy: Sequence[Path] = (),
    rain: Sequence[str] = (),
    frames: int = 40,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    on_sample: Callable[[RainSample, int], None] = lambda sample, total: None,
) -> list[RainSample]:
    """Run a model over clean files, rainy files, and clean files with generated rain.

    Args:
        model: Name of a model or path of its folder.
        clean: Videos, pictures and folders of them, without rain. A picture is a stream of its own.
        rainy: The same with rain.
        rain: Presets to rain on every clean file with; the rain depends on the seed and the file's
            name alone, and is not compressed.
        frames: Frames taken of each video, from its start.
        seed: Seed of the generated rain.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        on_sample: Called after each sample with it and the number of all.

    Raises:
        InputError: A file is missing or not readable, or a folder holds none.
        ConfigError: There is no such preset.
        ModelError: The model is unknown, or its weights are not what was published.
    """
    probe = _Probe()
    derainer = Derainer.from_network(
        load_single(model),
        network_of(find_model(model).spec.architecture),
        device=device,
        precision=precision,
        gate=probe,
    )
    for name in rain:
        preset(name)  # refuse an unknown one at once
    dry, wet = list(_files(clean)), list(_files(rainy))
    tasks = [(path, kind) for path in dry for kind in ("clean", *rain)]
    tasks += [(path, "rainy") for path in wet]
    samples = []
    for path, kind in tasks:
        derainer.reset()
        probe.seen, probe.fresh = [], []
        pictures: Iterable[Frame] = _frames(path, frames)
        if kind not in ("clean", "rainy"):
            pictures = _rained(pictures, kind, (seed + zlib.crc32(path.name.encode())) % 2**31)
        for frame in pictures:
            derainer.process(frame.pixels)
        samples.append(
            RainSample(
                name=path.name,
                rain=kind,
                scene=path.stem,
                statistics=np.array(probe.seen, np.float64),
                fresh=np.array(probe.fresh, np.bool_),
            )
        )
        on_sample(samples[-1], len(tasks))
    return samples


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = [p for p in sorted(path.rglob("*")) if is_image(p) or is_video(p)]
        if not found:
            raise InputError(f"{path}: the folder holds no video or picture")
        yield from found


def _frames(path: Path, count: int) -> Iterator[Frame]:
    if is_image(path):
        yield read_image(path)
        return
    with VideoReader(path) as reader:
        yield from islice(reader, count)


def _rained(frames: Iterable[Frame], kind: str, seed: int) -> Iterator[Frame]:
    clip: RainClip | None = None
    for frame in frames:
        height, width = frame.pixels.shape[:2]
        clip = clip or RainClip(preset(kind, height=height), height, width, seed=seed)
        yield rain_on_frame(clip, frame)[0]
