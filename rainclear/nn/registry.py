"""One descriptor a network: what it is called, how it is built, what it accepts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn

from rainclear.nn.daiam import DAiAM, StackedDAiAM
from rainclear.nn.dam import DAM
from rainclear.nn.differential import DDAM, DDAiAM
from rainclear.nn.dprrn import DPRRN
from rainclear.nn.ensemble import SelfEnsemble
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.nn.ushaped import UDDAiAM

__all__ = ["NETWORKS", "Network"]

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """Descriptor of a network.

    Attributes:
        name: Name in recipes.
        build: Constructor; takes the recipe's options by keyword.
        summary: One line for people.
        size_multiple: Height and width of the input must be multiples of it.
        stateful: Carries state from frame to frame.
        precisions: Number formats it survives, best first.
        dual_pixel: Takes the two halves of a dual-pixel picture, and a single one only with the
            option ``single``.
    """

    name: str
    build: Callable[..., nn.Module]
    summary: str
    size_multiple: int = 1
    stateful: bool = False
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    dual_pixel: bool = False


def _networks(*networks: Network) -> dict[str, Network]:
    return {network.name: network for network in networks}


def _dam(attention: str, **options: Any) -> nn.Module:
    return DAM(attention=attention, **options)  # type: ignore[arg-type]


NETWORKS = _networks(
    Network(
        name="d-daiam-rt",
        build=RealtimeDDAiAM,
        summary="D-DAiAM at a quarter of the resolution, recurrent over frames",
        size_multiple=8,
        stateful=True,
    ),
    Network(
        name="d-daiam-s",
        build=SelfEnsemble,
        summary="d-daiam-rt on three views of each frame, in three sizes",
        size_multiple=8,
        stateful=True,
    ),
    Network(
        name="d-daiam-u",
        build=UDDAiAM,
        summary="D-DAiAM over four sizes of the picture, recurrent over frames",
        size_multiple=8,
        stateful=True,
    ),
    Network(
        name="dam-zero", build=partial(_dam, "zero"), summary="DAM without attention (Table 7)"
    ),
    Network(name="dam-odd", build=partial(_dam, "odd"), summary="DAM with S⁺ alone (Table 7)"),
    Network(name="dam", build=partial(_dam, "dual"), summary="DAM, dual attention (Sec. 3.1)"),
    Network(name="daiam", build=DAiAM, summary="two DAMs, streaks and drops (Sec. 3.4)"),
    Network(name="daiam-daiam", build=StackedDAiAM, summary="two DAiAM in a row (Table 7)"),
    Network(name="d-dam", build=DDAM, summary="differential-driven DAM (Tables 4, 5)"),
    Network(name="d-daiam", build=DDAiAM, summary="DAiAM → differential → DAiAM (Sec. 3.5)"),
    Network(
        name="dprrn",
        build=DPRRN,
        summary="drops off the halves of dual pixels",
        size_multiple=8,
        dual_pixel=True,
    ),
)
