"""Fits packets and chapters of a file to the part of it that is kept."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.stream import Stream

from rainclear.video.part import Cut

__all__ = ["chapters_within", "time_of", "within"]


def time_of(packet: "Packet[Stream]", *, decoding: bool = False) -> Fraction:
    """When a packet is to be shown, or decoded, in seconds of its file; it has one such stamp."""
    first, second = (packet.dts, packet.pts) if decoding else (packet.pts, packet.dts)
    stamp = first if first is not None else second
    assert stamp is not None
    return stamp * packet.time_base


def within(packet: "Packet[Stream]", cut: Cut) -> bool:
    """Whether a packet begins in the kept part.

    A subtitle that is on screen when the part begins is made to begin there, and one that is still
    on screen at the end is made to end there; sound is cut between packets.
    """
    time, length = time_of(packet), (packet.duration or 0) * packet.time_base
    is_text = packet.stream.type == "subtitle"
    if cut.begin is not None and time < cut.begin:
        if not is_text or time + length <= cut.begin:
            return False
        begin = math.ceil(cut.begin / packet.time_base)
        packet.duration = round((time + length) / packet.time_base) - begin
        packet.pts = packet.dts = begin
    if cut.end is None:
        return True
    time, length = time_of(packet), (packet.duration or 0) * packet.time_base
    if is_text and time < cut.end < time + length:
        packet.duration = math.floor((cut.end - time) / packet.time_base)
    return time < cut.end


def chapters_within(chapters: Sequence[Any], cut: Cut) -> list[Any]:
    """The chapters of a file that reach into the kept part, cut to it and moved with it."""
    begin = cut.begin or Fraction(0)
    end = cut.end if cut.end is not None else cut.expected_end
    if cut.begin is None and end is None:
        return list(chapters)
    kept = []
    for chapter in chapters:
        base = chapter["time_base"]
        first, last = Fraction(chapter["start"]) * base, Fraction(chapter["end"]) * base
        if cut.begin is not None:
            first = max(first, begin)
        last = last if end is None else min(last, end)
        if first < last:
            times = {"start": round((first - begin) / base), "end": round((last - begin) / base)}
            kept.append({**chapter, **times})
    return kept
