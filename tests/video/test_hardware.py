"""Decoding in hardware, and without it where there is none."""

import av
import pytest

from rainclear.video import hardware
from rainclear.video.hardware import hardware_decoder


@pytest.fixture(autouse=True)
def asked_anew():
    hardware._works.cache_clear()
    yield
    hardware._works.cache_clear()


@pytest.mark.parametrize("device", [None, "cpu", "", "vulkan:0"])
def test_other_devices_have_no_decoder(device):
    assert hardware_decoder(device) is None


def test_a_machine_without_a_driver_decodes_by_itself(monkeypatch):
    def refused(*_, **__):
        raise av.error.PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(av.CodecContext, "create", refused, raising=False)
    monkeypatch.setattr(hardware.av, "CodecContext", type("C", (), {"create": refused}))
    assert hardware_decoder("cuda") is None
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["vaapi"])
    hardware._works.cache_clear()
    assert hardware_decoder("cuda:1") is None


def test_a_driver_is_asked_once_a_device(monkeypatch):
    asked = []

    class Context:
        is_hwaccel = True

        @classmethod
        def create(cls, name, mode, hwaccel):
            asked.append(name)
            return cls()

    monkeypatch.setattr(hardware.av, "CodecContext", Context)
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["cuda"])
    for device in ("cuda", "cuda:0", "cuda:1", "cuda"):
        accel = hardware_decoder(device)
        assert accel is not None and accel.allow_software_fallback
    assert asked == ["h264"] * 2


@pytest.mark.gpu
def test_nvdec_gives_the_pictures_of_the_processor(make_video):
    path = make_video(pts=range(8), size=(320, 240))
    accel = hardware_decoder("cuda:0")
    if accel is None:
        pytest.skip("this FFmpeg or driver has no NVDEC")
    pictures = []
    for hwaccel in (None, accel):
        with av.open(str(path), hwaccel=hwaccel) as video:
            pictures.append([f.to_ndarray(format="gray") for f in video.decode(video=0)])
    assert len(pictures[0]) == len(pictures[1]) == 8
    for one, other in zip(*pictures, strict=True):
        assert abs(one.astype(int) - other).max() <= 1
