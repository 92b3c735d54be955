"""Finds a rain gate's score and thresholds from clean and rainy samples.

The score is a logistic regression on the statistics of S⁺, with weights that are not negative, so
that more attention never means less rain. Clean and rainy samples weigh the same, and so does every
file within them. The threshold is where as many clean frames pass as rainy ones are caught; the
bias is then moved so that it lies at 0.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rainclear.config import BranchWeights, GateSpec
from rainclear.errors import InputError
from rainclear.evaluation.rain_samples import RainSample
from rainclear.runtime.gate import STATISTICS, Hysteresis, score_of

__all__ = ["Calibration", "CalibrationRow", "calibrate"]

Array = npt.NDArray[np.float64]

_RIDGE = 1e-3
_STEPS = 3000
_CANDIDATES = 121
_MARGIN = 0.25
_FOLDS = 8
_DIGITS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationRow:
    """One sample under the gate.

    Attributes:
        name: Its file.
        rain: ``clean``, ``rainy`` or a preset.
        frames: Its frames.
        score: Median rain score.
        open: Share of frames for which the gate was open.
    """

    name: str
    rain: str
    frames: int
    score: float
    open: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """A gate and how it does; shares are means over files, 0..1.

    Attributes:
        gate: The gate.
        rows: Every sample.
        passed: Share of clean frames that pass untouched.
        caught: Share of rainy frames that are derained.
        passed_held_out: ``passed``, each scene by a gate that was fitted without it.
        caught_held_out: ``caught`` in the same way.
    """

    gate: GateSpec
    rows: tuple[CalibrationRow, ...]
    passed: float
    caught: float
    passed_held_out: float
    caught_held_out: float


def calibrate(samples: Sequence[RainSample], *, weights_sha256: str, hold: int = 12) -> Calibration:
    """Fit a gate to samples; the same samples give the same gate.

    Args:
        samples: Clean ones and rainy ones.
        weights_sha256: Checksum of the weights that saw them.
        hold: Dry frames in a row after which an open gate closes.

    Raises:
        InputError: There is no clean or no rainy sample.
    """
    for kind, rainy in (("clean", False), ("rainy", True)):
        if not any(sample.rainy is rainy for sample in samples):
            raise InputError(f"calibration needs at least one {kind} file")
    gate = _fit(samples, weights_sha256, hold)
    rows = tuple(_row(gate, sample) for sample in samples)
    held_out = _held_out(samples, weights_sha256, hold)
    passed, caught = _shares(samples, [row.open for row in rows])
    passed_held_out, caught_held_out = _shares(samples, held_out)
    return Calibration(
        gate=gate,
        rows=rows,
        passed=passed,
        caught=caught,
        passed_held_out=passed_held_out,
        caught_held_out=caught_held_out,
    )


def _fit(samples: Sequence[RainSample], weights_sha256: str, hold: int) -> GateSpec:
    weights = _regress(samples)
    # Rounded before the threshold is sought, so that the file holds what was checked.
    weights = np.round(weights, _DIGITS)
    logits = [sample.statistics @ weights for sample in samples]
    on, margin = _threshold(samples, logits, hold)
    streaks, drops = (
        BranchWeights(**dict(zip(STATISTICS, part.tolist(), strict=True)))
        for part in np.split(weights, 2)
    )
    return GateSpec(
        weights_sha256=weights_sha256,
        bias=round(-on, _DIGITS),
        streaks=streaks,
        drops=drops,
        on=0.5,
        off=round(float(1 / (1 + np.exp(margin))), _DIGITS),
        hold=hold,
    )


def _regress(samples: Sequence[RainSample]) -> Array:
    """Weights w ≥ 0 of a ridge logistic regression, by projected gradient descent (convex)."""
    x = np.concatenate([sample.statistics for sample in samples])
    y = np.concatenate([np.full(len(s.statistics), float(s.rainy)) for s in samples])
    files = {rainy: sum(s.rainy is rainy for s in samples) for rainy in (False, True)}
    share = np.concatenate(
        [np.full(len(s.statistics), 0.5 / files[s.rainy] / len(s.statistics)) for s in samples]
    )
    mean = share @ x
    spread = np.maximum(np.sqrt(share @ (x - mean) ** 2), 1e-6)
    z = (x - mean) / spread
    curvature = 0.25 * np.linalg.eigvalsh((z * share[:, None]).T @ z)[-1] + 0.25 + _RIDGE
    w, b = np.zeros(z.shape[1]), 0.0
    for _ in range(_STEPS):
        wrong = share * (1 / (1 + np.exp(-np.clip(z @ w + b, -60, 60))) - y)
        w = np.maximum(0.0, w - (wrong @ z + _RIDGE * w) / curvature)
        b -= float(wrong.sum()) / curvature
    return np.where(spread > 1e-6, w / spread, 0.0)


def _threshold(
    samples: Sequence[RainSample], logits: Sequence[Array], hold: int
) -> tuple[float, float]:
    """Logit at which the gate opens, and how far below it may close again."""
    middle = [
        float(
            np.median(
                np.concatenate([v for s, v in zip(samples, logits, strict=True) if s.rainy is r])
            )
        )
        for r in (False, True)
    ]
    margin = float(np.clip(_MARGIN * (middle[1] - middle[0]), 0.0, 2.0))
    values = np.concatenate(logits)
    candidates = np.linspace(values.min(), values.max(), _CANDIDATES)
    worst = []
    for on in candidates:
        latch = Hysteresis(on=float(on), off=float(on) - margin, hold=hold)
        worst.append(min(_shares(samples, [_open_share(latch, v) for v in logits])))
    best = np.flatnonzero(np.array(worst) >= max(worst) - 1e-9)
    return float(candidates[best[len(best) // 2]]), margin


def _open_share(latch: Hysteresis, scores: Array) -> float:
    latch.reset()
    return float(np.mean([latch(score) for score in scores.tolist()]))


def _shares(samples: Sequence[RainSample], opened: Sequence[float]) -> tuple[float, float]:
    """Mean over clean files of frames that pass, and over rainy files of frames caught."""
    clean = [1.0 - o for s, o in zip(samples, opened, strict=True) if not s.rainy]
    rainy = [o for s, o in zip(samples, opened, strict=True) if s.rainy]
    return float(np.mean(clean)) if clean else 0.0, float(np.mean(rainy)) if rainy else 0.0


def _scores(gate: GateSpec, sample: RainSample) -> Array:
    return np.array([score_of(gate, row) for row in sample.statistics.tolist()])


def _row(gate: GateSpec, sample: RainSample) -> CalibrationRow:
    scores = _scores(gate, sample)
    latch = Hysteresis(on=gate.on, off=gate.off, hold=gate.hold)
    return CalibrationRow(
        name=sample.name,
        rain=sample.rain,
        frames=len(scores),
        score=float(np.median(scores)),
        open=_open_share(latch, scores),
    )


def _held_out(samples: Sequence[RainSample], weights_sha256: str, hold: int) -> list[float]:
    """Share open of every sample, by gates fitted without its scene; nan where that cannot be."""
    scenes = sorted({sample.scene for sample in samples})
    fold = {scene: i % _FOLDS for i, scene in enumerate(scenes)}
    opened = [float("nan")] * len(samples)
    for number in sorted(set(fold.values())):
        kept = [s for s in samples if fold[s.scene] != number]
        if len({s.rainy for s in kept}) < 2:
            continue
        gate = _fit(kept, weights_sha256, hold)
        for i, sample in enumerate(samples):
            if fold[sample.scene] == number:
                opened[i] = _row(gate, sample).open
    return opened
