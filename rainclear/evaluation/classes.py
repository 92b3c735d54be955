"""Which classes are measured, and classes that are counted as one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rainclear.detection.coco import COCO_NAMES, class_id
from rainclear.detection.detections import Detections
from rainclear.errors import ConfigError
from rainclear.evaluation.average_precision import overlap
from rainclear.evaluation.labels import GroundTruth

__all__ = ["Classes", "parse_merges"]

_SAME_OBJECT = 0.7


def parse_merges(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """``vehicle=car,truck,bus`` to a name and the classes it stands for.

    Raises:
        ConfigError: It is written otherwise, COCO has no such class, or two merges share one.
    """
    merges: dict[str, tuple[str, ...]] = {}
    taken: set[int] = set()
    for text in texts:
        name, _, parts = text.partition("=")
        members = tuple(part.strip() for part in parts.split(",") if part.strip())
        if not name.strip() or not members:
            raise ConfigError(f"--merge {text!r}: write it as vehicle=car,truck,bus")
        for member in members:
            number = class_id(member)
            if number is None:
                raise ConfigError(f"--merge {text!r}: COCO has no class {member!r}")
            if number in taken:
                raise ConfigError(f"--merge {text!r}: {member!r} is merged twice")
            taken.add(number)
        merges[name.strip()] = members
    return merges


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """The classes that are measured, under numbers of their own.

    Attributes:
        names: Name of each number.
        numbers: COCO's number to ours; those that are not measured are missing.
        merged: Our numbers of merged classes.
    """

    names: tuple[str, ...]
    numbers: dict[int, int]
    merged: frozenset[int]

    @classmethod
    def of(
        cls,
        truth: Iterable[GroundTruth],
        *,
        merges: dict[str, tuple[str, ...]] | None = None,
        only: Sequence[str] = (),
    ) -> "Classes":
        """The classes that the labels have, in COCO's order, merged ones after them.

        Raises:
            ConfigError: A class of ``only`` is not among them, or there is none at all.
        """
        present = {int(c) for labels in truth for c in labels.classes}
        members = {
            name: {number for m in group if (number := class_id(m)) is not None}
            for name, group in (merges or {}).items()
        }
        merged = set().union(*members.values())
        groups = {COCO_NAMES[number]: {number} for number in sorted(present - merged)}
        groups |= {name: group for name, group in members.items() if group & present}
        if missing := [name for name in only if name not in groups]:
            raise ConfigError(
                f"--only {missing[0]!r}: the labels have no such class; they have: "
                f"{', '.join(groups) or 'none'}"
            )
        groups = {name: group for name, group in groups.items() if not only or name in only}
        if not groups:
            raise ConfigError("the labels hold no box of any class: there is nothing to measure")
        names = tuple(groups)
        return cls(
            names=names,
            numbers={number: names.index(name) for name in names for number in groups[name]},
            merged=frozenset(names.index(name) for name in members if name in names),
        )

    def of_detections(self, found: Detections) -> Detections:
        """Under our numbers; of merged classes, one box an object.

        A detector that calls one thing car and truck sees one vehicle: of boxes of a merged class
        that overlap by more than 0.7, the best stays.
        """
        mine = found.renumbered(self.numbers)
        keep = np.ones(len(mine), bool)
        for number in self.merged:
            where = np.flatnonzero(mine.classes == number)
            keep[where] = _best(mine.select(where))
        return mine.select(keep)

    def of_truth(self, truth: GroundTruth) -> GroundTruth:
        """Under our numbers."""
        keep = np.isin(truth.classes, list(self.numbers))
        kept = np.isin(truth.ignore_classes, [-1, *self.numbers])
        return replace(
            truth,
            xyxy=truth.xyxy[keep],
            classes=self._renumber(truth.classes[keep]),
            ignore=truth.ignore[kept],
            ignore_classes=self._renumber(truth.ignore_classes[kept]),
        )

    def _renumber(self, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.array([self.numbers.get(int(c), -1) for c in classes], np.int64)


def _best(found: Detections) -> npt.NDArray[np.bool_]:
    keep = np.zeros(len(found), bool)
    with_others = overlap(found.xyxy, found.xyxy)
    for index in np.argsort(-found.scores, kind="stable"):
        keep[index] = not (with_others[index, keep] > _SAME_OBJECT).any()
    return keep
