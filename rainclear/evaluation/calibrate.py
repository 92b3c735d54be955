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
_STEPS = 400
_LEAST_SPREAD = 0.1
_CANDIDATES = 81
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
        passed_held_out: ``passed``, each scene by a gate that was fitted without it; nan where
            there are too few scenes.
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
    # Rounded before the threshold is sought, so that the file holds what was checked.
    weights = np.round(_regress(samples), _DIGITS)
    logits = [_inputs(sample) @ weights for sample in samples]
    on, margin = _threshold(samples, logits, hold)
    streaks, drops = (
        BranchWeights(**dict(zip(STATISTICS, part.tolist(), strict=True)))
        for part in np.split(weights[:-1], 2)
    )
    return GateSpec(
        weights_sha256=weights_sha256,
        bias=round(-on, _DIGITS),
        fresh=float(weights[-1]),
        streaks=streaks,
        drops=drops,
        on=0.5,
        off=round(float(1 / (1 + np.exp(margin))), _DIGITS),
        hold=hold,
    )


def _inputs(sample: RainSample) -> Array:
    return np.column_stack([sample.statistics, sample.fresh])


def _regress(samples: Sequence[RainSample]) -> Array:
    """Weights of the statistics, none below zero, and of a missing state.

    A ridge logistic regression by projected gradient descent with Nesterov's momentum.
    """
    x = np.concatenate([_inputs(sample) for sample in samples])
    y = np.concatenate([np.full(len(s.statistics), float(s.rainy)) for s in samples])
    files = {rainy: sum(s.rainy is rainy for s in samples) for rainy in (False, True)}
    share = np.concatenate(
        [np.full(len(s.statistics), 0.5 / files[s.rainy] / len(s.statistics)) for s in samples]
    )
    mean = share @ x
    # A map that hardly ever answers is noise, not a scale to blow up.
    spread = np.maximum(np.sqrt(share @ (x - mean) ** 2), _LEAST_SPREAD)
    z = (x - mean) / spread
    curvature = 0.25 * np.linalg.eigvalsh((z * share[:, None]).T @ z)[-1] + 0.25 + _RIDGE
    z = np.column_stack([z, np.ones(len(z))])  # the last one is the bias
    ridge = np.array([_RIDGE] * (z.shape[1] - 1) + [0.0])
    least = np.array([0.0] * (z.shape[1] - 2) + [-np.inf, -np.inf])
    w = before = np.zeros(z.shape[1])
    for step in range(_STEPS):
        ahead = w + step / (step + 3) * (w - before)  # Nesterov's
        wrong = share * (1 / (1 + np.exp(-np.clip(z @ ahead, -60, 60))) - y)
        before, w = w, np.maximum(least, ahead - (wrong @ z + ridge * ahead) / curvature)
    return w[:-1] / spread


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
    """Mean over clean files of frames that pass, and over rainy files of frames caught.

    Samples whose share is not known (nan) do not count; nan if there is no other.
    """
    known = [(s, o) for s, o in zip(samples, opened, strict=True) if not np.isnan(o)]
    clean = [1.0 - o for s, o in known if not s.rainy]
    rainy = [o for s, o in known if s.rainy]
    return (
        float(np.mean(clean)) if clean else float("nan"),
        float(np.mean(rainy)) if rainy else float("nan"),
    )


def _scores(gate: GateSpec, sample: RainSample) -> Array:
    rows = zip(sample.statistics.tolist(), sample.fresh.tolist(), strict=True)
    return np.array([score_of(gate, row, fresh=fresh) for row, fresh in rows])


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
