"""Decoders in hardware (NVDEC), where FFmpeg and the machine have them."""

from functools import cache

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

__all__ = ["hardware_decoder"]


def hardware_decoder(device: str | None) -> HWAccel | None:
    """What ``av.open`` takes as ``hwaccel`` to decode on a device, ``None`` where that cannot be.

    Decoded pictures are copied to the host, as NV12 or P010. A codec that the device does not know
    is decoded by the processor.

    Args:
        device: ``cuda`` or ``cuda:N``; anything else has no decoder.
    """
    kind, _, number = (device or "").partition(":")
    if kind != "cuda" or not _works(number or "0"):
        return None
    return HWAccel("cuda", device=number or "0", allow_software_fallback=True)


@cache
def _works(number: str) -> bool:
    """Whether a driver answers; asked before a network stream is opened, which takes longer."""
    if "cuda" not in hwdevices_available():
        return False
    accel = HWAccel("cuda", device=number, allow_software_fallback=False)
    try:
        context = av.CodecContext.create("h264", "r", hwaccel=accel)
    except (av.FFmpegError, OSError, RuntimeError, NotImplementedError):
        return False
    return bool(context.is_hwaccel)
