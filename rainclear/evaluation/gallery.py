"""Keeps the pictures with the largest gain and the largest loss, as small JPEGs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from rainclear.evaluation.metrics import Picture
from rainclear.evaluation.scores import PictureScore

__all__ = ["Gallery", "Shot"]

_APART = 25  # frames of a clip that are shown once, as neighbours look the same
_WIDTH, _QUALITY = 560, 86


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """A picture that is shown: its scores, and JPEG files by what they show, in order."""

    score: PictureScore
    jpegs: dict[str, bytes]


class Gallery:
    """The best and the worst pictures so far, by RGB PSNR won.

    Args:
        model: The model whose gain counts.
        size: Pictures kept of each kind; 0 keeps none.
    """

    def __init__(self, model: str, size: int) -> None:
        self.model, self.size = model, size
        self._best: dict[tuple[str, int], tuple[float, Shot]] = {}
        self._worst: dict[tuple[str, int], tuple[float, Shot]] = {}

    def offer(self, score: PictureScore, index: int, pictures: Mapping[str, Picture]) -> None:
        """Take a picture in if it belongs there; ``index`` is its number in its clip."""
        gain = score.gain(self.model)
        if self.size == 0 or not math.isfinite(gain):
            return
        key = (score.clip or score.name, index // _APART)
        wanted = [
            (kept, rank)
            for kept, rank in ((self._best, gain), (self._worst, -gain))
            if self._belongs(kept, key, rank)
        ]
        if wanted:
            shot = Shot(score=score, jpegs={k: _jpeg(p) for k, p in pictures.items()})
            for kept, rank in wanted:
                kept[key] = (rank, shot)
                if len(kept) > self.size:
                    del kept[min(kept, key=lambda k: kept[k][0])]

    def _belongs(
        self, kept: dict[tuple[str, int], tuple[float, Shot]], key: tuple[str, int], rank: float
    ) -> bool:
        if key in kept:
            return rank > kept[key][0]
        return len(kept) < self.size or rank > min(r for r, _ in kept.values())

    @property
    def best(self) -> list[Shot]:
        """Largest gain first."""
        return [shot for _, shot in sorted(self._best.values(), key=lambda x: -x[0])]

    @property
    def worst(self) -> list[Shot]:
        """Largest loss, or smallest gain, first; none that is among the best."""
        ranked = sorted(self._worst.values(), key=lambda x: -x[0])
        return [shot for _, shot in ranked if all(shot.score is not b.score for b in self.best)]


def _jpeg(picture: Picture) -> bytes:
    height, width = picture.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bgr = np.ascontiguousarray(picture[..., ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data.tobytes())
