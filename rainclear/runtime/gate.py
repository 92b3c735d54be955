"""The rain gate: dry frames pass as they came, and every frame tells how much it rains.

The network looks at every frame, so that its state and the score follow the weather; the gate only
decides whose picture goes on, the network's or the camera's.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rainclear.config import BranchWeights, GateSpec, load_yaml, parse
from rainclear.errors import ConfigError, ModelError
from rainclear.nn.output import Branch, Derained
from rainclear.runtime.hysteresis import GateState, Hysteresis
from rainclear.zoo import ModelFolder

__all__ = [
    "STATISTICS",
    "GateChoice",
    "Hysteresis",
    "RainGate",
    "RainReading",
    "Statistics",
    "attention_maps",
    "find_gate",
    "read_gate",
    "reading_values",
    "score_of",
    "statistics_of",
    "statistics_rows",
]

GateChoice = GateSpec | bool | None
"""A gate; ``True`` for the model's own, ``False`` for none, ``None`` for its own if it has one."""

STATISTICS = tuple(BranchWeights.model_fields)
"""Names of the statistics of one rain type, in the order of :class:`Statistics`."""

Statistics = tuple[float, ...]
"""log₁₀(x + 3·10⁻⁴) of the statistics of S⁺, those of the streaks, then those of the drops."""

Maps = tuple[Tensor | None, Tensor | None]
"""S⁺ of streaks and of drops, ``None`` where the network has no such branch."""

HEAVY, LIGHT = 0.5, 0.1
_STEP = 4
_CELLS = (6, 10)
QUANTILES = (0.5, 0.9, 0.99)
FLOOR = 3e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class RainReading:
    """What the network saw of the rain in one frame; shares are of the picture's area, 0..1.

    Streaks and drops join to 1 − (1 − S⁺_streaks)(1 − S⁺_drops).

    Attributes:
        score: How rainy the frame is, 0..1: the calibrated score of the gate, or the mean of the
            joint S⁺ where there is none.
        open: Whether the derained picture goes on; ``False``: the frame as it came.
        heavy: Share where the joint S⁺ is 0.5 or more.
        light: Share where it is 0.1 to 0.5.
        streaks: Share where the S⁺ of streaks is 0.5 or more.
        drops: Share where the S⁺ of drops is 0.5 or more.
    """

    score: float
    open: bool = True
    heavy: float = 0.0
    light: float = 0.0
    streaks: float = 0.0
    drops: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: ``rain_score``, ``gate`` (open or closed) and the shares."""
        shares = {k: v for k, v in asdict(self).items() if k not in ("score", "open")}
        gate = "open" if self.open else "closed"
        return {"rain_score": self.score, "gate": gate, **shares}


class RainGate:
    """Reads the rain from a network's answer, and opens and closes over the frames of one stream.

    Args:
        spec: The calibration; without it every frame counts as rainy.
    """

    def __init__(self, spec: GateSpec | None) -> None:
        self.spec = spec
        self._latch = Hysteresis(on=spec.on, off=spec.off, hold=spec.hold) if spec else None

    @property
    def state(self) -> GateState | None:
        """What the frames so far come to; ``None`` without a calibration."""
        return self._latch.state if self._latch else None

    def restore(self, state: GateState | None) -> None:
        """Go on from a state; ``None`` begins again."""
        if self._latch:
            self._latch.restore(state or GateState())

    def reset(self) -> None:
        """Forget the frames seen so far."""
        self.restore(None)

    def __call__(
        self, out: Derained, height: int, width: int, *, fresh: bool = False
    ) -> RainReading:
        """Read the next frame.

        Args:
            out: The network's answer, which may be padded beyond ``height`` and ``width``.
            height: Height of the frame.
            width: Its width.
            fresh: Whether a network that carries a state had none for this frame, or its encoder
                began anew.
        """
        maps = attention_maps(out, height, width)
        reading = _reading(maps)
        if self.spec is None or self._latch is None:
            return reading
        score = score_of(self.spec, _statistics(maps), fresh=fresh)
        return replace(reading, score=score, open=self._latch(score))


def statistics_of(out: Derained, height: int, width: int) -> Statistics:
    """The statistics of the last stage's S⁺ that the score is made of; -3.52 for a missing type."""
    return _statistics(attention_maps(out, height, width))


def score_of(spec: GateSpec, statistics: Iterable[float], *, fresh: bool = False) -> float:
    """The rain score 0..1: logistic of the weighted statistics, which it never falls with."""
    weights = [getattr(part, name) for part in (spec.streaks, spec.drops) for name in STATISTICS]
    logit = spec.bias + fresh * spec.fresh
    logit += sum(w * x for w, x in zip(weights, statistics, strict=True))
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, logit))))


def attention_maps(out: Derained, height: int, width: int) -> Maps:
    """S⁺ of streaks and drops, 1×1×h×w float, every 4th pixel: enough for shares of an area.

    Of backends that give no others, they are taken as they are.
    """

    def sampled(branch: Branch | None) -> Tensor | None:
        if branch is None:
            return None
        given = out.image.shape[-1] // branch.attention.shape[-1]  # each how many pixels
        step = max(1, _STEP // given)
        rows, columns = -(-height // given), -(-width // given)
        return branch.attention[:1, :, :rows:step, :columns:step].float()

    return sampled(out.streaks), sampled(out.drops)


def reading_values(maps: Maps) -> Tensor | None:
    """Mean of the joint S⁺, then shares: heavy, light, streaks, drops. Five floats on the device.

    ``None`` without any map.
    """
    dry = _dryness(maps)
    if dry is None:
        return None
    zero = dry.new_zeros(())
    streaks, drops = (zero if m is None else _share(m >= HEAVY) for m in maps)
    heavy, wet = _share(dry <= 1.0 - HEAVY), _share(dry <= 1.0 - LIGHT)
    return torch.stack([1.0 - dry.mean(), heavy, wet - heavy, streaks, drops])


def statistics_rows(maps: Maps, quantiles: Tensor) -> list[Tensor | None]:
    """log₁₀(x + 3·10⁻⁴) of the five statistics of streaks and of drops, on the device.

    Args:
        maps: Of :func:`attention_maps`.
        quantiles: :data:`QUANTILES` on the device of the maps.
    """

    def row(s: Tensor | None) -> Tensor | None:
        if s is None:
            return None
        cells = F.adaptive_avg_pool2d(s, _CELLS).flatten()
        flat = s.flatten()
        parts = [flat.mean()[None], torch.quantile(cells, 0.25)[None], flat.quantile(quantiles)]
        return torch.cat(parts).add(FLOOR).log10()

    return [row(s) for s in maps]


def _share(where: Tensor) -> Tensor:
    """Mean of booleans, without a copy of them as floats."""
    return torch.count_nonzero(where) / where.numel()


def _dryness(maps: Maps) -> Tensor | None:
    """(1 − S⁺_streaks)(1 − S⁺_drops), 1 less the joint S⁺; ``None`` without any map."""
    dry: Tensor | None = None
    for m in maps:
        if m is not None:
            dry = 1.0 - m if dry is None else dry * (1.0 - m)
    return dry


def _reading(maps: Maps) -> RainReading:
    """The mean of the joint S⁺ as score, and the shares, in one transfer from the device."""
    values = reading_values(maps)
    if values is None:
        return RainReading(score=0.0)
    score, heavy, light, streaks, drops = values.tolist()
    return RainReading(score=score, heavy=heavy, light=light, streaks=streaks, drops=drops)


def _statistics(maps: Maps) -> Statistics:
    some = next((m for m in maps if m is not None), None)
    missing = [math.log10(FLOOR)] * len(STATISTICS)
    if some is None:
        return tuple(missing * 2)
    rows = statistics_rows(maps, some.new_tensor(QUANTILES))
    logs = iter(torch.stack([row for row in rows if row is not None]).tolist())
    return tuple(value for row in rows for value in (missing if row is None else next(logs)))


def find_gate(folder: ModelFolder, choice: GateChoice) -> GateSpec | None:
    """The gate that ``choice`` means for a model, or ``None`` for no gate.

    Raises:
        ModelError: The gate was calibrated with other weights, or the model has none though it
            was asked for.
    """
    if choice is False:
        return None
    spec = choice if isinstance(choice, GateSpec) else folder.spec.gate
    name = folder.spec.name
    remedy = f"make one: rainclear calibrate --model {name} --clean FILES --rain moderate -o FILE"
    if spec is None:
        if choice is None:
            return None
        raise ModelError(f"model {name!r} has no rain gate; {remedy}")
    sealed = folder.spec.weights
    if sealed is not None and spec.weights_sha256 != sealed.sha256:
        if choice is None:
            return None
        raise ModelError(f"this rain gate was calibrated with other weights of {name!r}; {remedy}")
    return spec


def read_gate(path: Path) -> GateSpec:
    """The gate in a file that ``rainclear calibrate`` wrote, or in a ``model.yaml``.

    Raises:
        ConfigError: The file cannot be read, or holds no valid gate.
    """
    section = load_yaml(path).get("gate")
    if not isinstance(section, dict):
        raise ConfigError(f"{path} has no section 'gate'; rainclear calibrate -o FILE writes one")
    return parse(GateSpec, section, source=f"{path}: gate")
