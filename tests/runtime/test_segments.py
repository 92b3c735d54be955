import errno
import hashlib
import json
import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
import torch
from torch import nn

from rainclear.config import GateSpec
from rainclear.errors import InputError, OutputError
from rainclear.nn.output import Branch, Derained, Stage
from rainclear.nn.registry import Network
from rainclear.runtime.carry import carried, restore, settings_of
from rainclear.runtime.derainer import Derainer
from rainclear.runtime.gate import RainGate
from rainclear.runtime.hysteresis import GateState
from rainclear.runtime.job_folder import JobFolder, folder_of, kept_frames
from rainclear.runtime.jobs import derain_video
from rainclear.runtime.long_job import derain_in_segments
from rainclear.runtime.options import EncodeOptions, JobOptions
from rainclear.runtime.segment_job import Segment, plan_segments
from rainclear.runtime.stream_state import StreamState
from rainclear.video import VideoReader
from rainclear.video.decode import decode
from rainclear.video.part import Part
from rainclear.video.segment import SegmentWriter

LOSSLESS = EncodeOptions(crf=0, preset="ultrafast")
UNEVEN = [0, 10, 11, 40, 95, 300, 310, 320, 333, 900, 901, 902, 1500, 1540, 1580, 1590, 1600]
LENGTH = 4
WEIGHTS = {"weights": "w"}


class Stop(Exception):
    """Stands for whatever ends a job early."""


def contents(path: Path) -> dict[int, list[tuple]]:
    """Stamps and bytes of every packet, by stream."""
    found: dict[int, list[tuple]] = {}
    with av.open(str(path)) as video:
        for packet in video.demux():
            if packet.size:
                row = (packet.pts, packet.dts, packet.duration, packet.is_keyframe, bytes(packet))
                found.setdefault(packet.stream_index, []).append(row)
    return found


def frames(path: Path) -> list[tuple[Fraction, str]]:
    with av.open(str(path)) as video:
        return [
            (frame.pts * frame.time_base, hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest())
            for frame in video.decode(video=0)
        ]


class Trail(nn.Module):
    """Each picture is the mean of the frame and the picture before: state, and little work."""

    def forward(self, x, state):
        image = x if state is None else 0.5 * (x + state[0])
        branch = Branch(attention=image[:, :1], heavy=None, light=None, image=None)
        return Derained(image=image, state=(image,), stages=(Stage(image, branch, None),))


TRAIL = Network(name="trail", build=Trail, summary="", size_multiple=8, stateful=True)


@pytest.fixture
def fast():
    return Derainer.from_network(Trail(), TRAIL, device="cpu", precision="fp32")


@pytest.fixture
def job(fast):
    """Derains in short segments; ends early where it is told to."""

    def run(
        source,
        output,
        *,
        stop=None,
        derainer=fast,
        made_with=WEIGHTS,
        length=LENGTH,
        sidecar=None,
        **options,
    ):
        def on_frame(done, total, score):
            if done == stop:
                raise Stop

        return derain_in_segments(
            source,
            output,
            derainer,
            JobOptions(**options),
            made_with=made_with,
            length=length,
            sidecar=sidecar,
            on_frame=on_frame,
        )

    return run


def stopped(job, *arguments, **options) -> None:
    with pytest.raises(Stop):
        job(*arguments, **options)


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("out.mp4", EncodeOptions()),  # three B-frames in a row
        ("out.mkv", EncodeOptions(codec="libx265", preset="ultrafast", crf=30)),
        ("out.avi", EncodeOptions(codec="mpeg4")),
        ("out.ts", EncodeOptions(preset="medium")),
        ("out.webm", EncodeOptions(codec="libvpx-vp9", crf=40, preset="8")),
        ("out.mkv", EncodeOptions(codec="ffv1")),
        ("out.mp4", EncodeOptions(codec="libsvtav1", crf=40, preset="12")),
    ],
)
def test_stopped_twice_it_gives_what_an_undisturbed_job_gives(
    job, make_video, files_in, tmp_path, name, encode
):
    source, output = make_video(pts=range(14), sound=True), tmp_path / "again" / name
    output.parent.mkdir()
    job(source, tmp_path / name, encode=encode)
    stopped(job, source, output, stop=6, encode=encode)
    assert not output.exists() and kept_frames(output) == 4
    stopped(job, source, output, stop=13, encode=encode)
    assert kept_frames(output) == 12
    report = job(source, output, encode=encode)
    assert (report.frames, report.resumed) == (14, 12)
    assert contents(output) == contents(tmp_path / name)
    assert files_in(output.parent) == {name}


def test_frames_stamps_and_sound_are_those_of_the_plain_job(job, derainer, make_video, tmp_path):
    source = make_video(pts=UNEVEN[:9], time_base=Fraction(1, 1000), sound=True)
    options = {"derainer": derainer, "encode": LOSSLESS}
    derain_video(source, tmp_path / "plain.mp4", **options)
    stopped(job, source, tmp_path / "out.mp4", stop=7, **options)
    assert job(source, tmp_path / "out.mp4", **options).resumed == 4
    # Without loss, every picture tells whether the state of the network went on bit for bit.
    assert frames(tmp_path / "out.mp4") == frames(tmp_path / "plain.mp4")
    assert contents(tmp_path / "out.mp4")[1] == contents(tmp_path / "plain.mp4")[1]


def test_b_frames_and_uneven_stamps_join(job, make_video, stamps, tmp_path):
    source = make_video(pts=UNEVEN, time_base=Fraction(1, 1000))
    job(source, tmp_path / "out.mp4")
    assert stamps(tmp_path / "out.mp4") == stamps(source)
    rows = contents(tmp_path / "out.mp4")[0]
    assert any(row[0] != row[1] for row in rows)
    assert all(one[1] < other[1] for one, other in pairwise(rows))
    assert all(pts >= dts for pts, dts, *_ in rows)
    assert [n for n, row in enumerate(rows) if row[3]] == [0, 4, 8, 12, 16]


def test_compare_and_rotation(job, make_video, tmp_path):
    source = make_video(pts=range(6), rotation=90)
    job(source, tmp_path / "out.mp4", compare=True)
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert (reader.info.width, reader.info.height, reader.info.rotation) == (64, 96, 90)


def test_report_and_sidecar_are_whole(job, fast, make_video, tmp_path):
    from rainclear.runtime.sidecar import Sidecar

    source = make_video(pts=range(10))
    with Sidecar(tmp_path / "plain.jsonl") as lines:
        plain = derain_video(source, tmp_path / "plain.mp4", derainer=fast, sidecar=lines)
    stopped(job, source, tmp_path / "out.mp4", stop=9)
    with Sidecar(tmp_path / "out.jsonl") as lines:
        report = job(source, tmp_path / "out.mp4", sidecar=lines)
    assert report.rain_score_mean == pytest.approx(plain.rain_score_mean)
    assert report.fps == pytest.approx(2 / report.seconds)
    assert (tmp_path / "out.jsonl").read_text() == (tmp_path / "plain.jsonl").read_text()


def test_what_was_read_is_not_decoded_again(job, make_video, monkeypatch, tmp_path):
    source = make_video(pts=range(30), options={"g": "5"})
    stopped(job, source, tmp_path / "out.mp4", stop=26)
    decoded = []

    def counted(*arguments, **options):
        for frame in decode(*arguments, **options):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr("rainclear.video.read.decode", counted)
    job(source, tmp_path / "out.mp4")
    assert sum(pts > 0 for pts in decoded) <= 12  # of 30, and the first to describe the video
    assert len(frames(tmp_path / "out.mp4")) == 30


def test_a_damaged_source_goes_on_too(job, make_video, tmp_path):
    source = make_video(pts=range(40), faststart=True, options={"g": "5", "qp": "10"})
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    source.write_bytes(data)
    whole = job(source, tmp_path / "whole.mp4")
    assert whole.notes
    stopped(job, source, tmp_path / "out.mp4", stop=33)
    report = job(source, tmp_path / "out.mp4")
    assert (report.notes, report.frames) == (whole.notes, whole.frames)
    assert contents(tmp_path / "out.mp4") == contents(tmp_path / "whole.mp4")


@pytest.mark.parametrize("kind", ["packets", "table.safetensors", "state.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_a_damaged_segment_is_made_again(job, make_video, tmp_path, kind, damage):
    source, output = make_video(pts=range(14)), tmp_path / "out.mp4"
    job(source, tmp_path / "whole.mp4")
    stopped(job, source, output, stop=13)
    victim = folder_of(output) / f"000002.{kind}"
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(data if damage == "changed" else data[:-1])
    report = job(source, output)
    assert report.resumed == 8
    assert "damaged" in report.notes[0]
    assert contents(output) == contents(tmp_path / "whole.mp4")


def test_killed_while_joining(job, make_video, monkeypatch, tmp_path):
    source, output = make_video(pts=range(9)), tmp_path / "out.mp4"
    job(source, tmp_path / "whole.mp4")

    def stop(*_, **__):
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr("rainclear.runtime.segment_join.encoded_packets", stop)
        stopped(job, source, output)
    with monkeypatch.context() as patched:
        patched.setattr("rainclear.runtime.long_job.derain_segment", stop)
        assert job(source, output).resumed == 9
    assert contents(output) == contents(tmp_path / "whole.mp4")


CHANGES = {
    "--crf (18, now 20)": {"encode": EncodeOptions(crf=20)},
    "--end (none, now 1)": {"part": Part(end=Fraction(1))},
    "--segment (4, now 5)": {"length": 5},
    "weights (w, now other)": {"made_with": {"weights": "other"}},
    "--compare (no, now yes)": {"compare": True},
}


@pytest.mark.parametrize("difference", CHANGES)
def test_other_options_are_named(job, make_video, tmp_path, difference):
    source, output = make_video(pts=range(10)), tmp_path / "out.mp4"
    stopped(job, source, output, stop=6)
    with pytest.raises(OutputError) as caught:
        job(source, output, **CHANGES[difference])
    assert difference in str(caught.value) and "--overwrite" in str(caught.value)
    assert str(folder_of(output)) in str(caught.value)
    assert kept_frames(output) == 4  # nothing was lost by asking
    report = job(source, output, overwrite=True, **CHANGES[difference])
    assert report.resumed == 0 and report.frames == 10
    assert not folder_of(output).exists()


def test_another_input_is_named(job, make_video, tmp_path):
    output = tmp_path / "out.mp4"
    stopped(job, make_video(pts=range(10)), output, stop=6)
    source = make_video(pts=range(12))
    os.utime(source, (1, 1))
    with pytest.raises(OutputError, match=r"size of the input.*last change.*content"):
        job(source, output)


def test_overwrite_goes_on_where_nothing_changed(job, make_video, tmp_path):
    source, output = make_video(pts=range(10)), tmp_path / "out.mp4"
    output.write_text("old")
    with pytest.raises(OutputError, match="exists already"):
        job(source, output)
    stopped(job, source, output, stop=9, overwrite=True)
    assert output.read_text() == "old"
    assert job(source, output, overwrite=True).resumed == 8


def test_a_damaged_list(job, make_video, tmp_path):
    source, output = make_video(pts=range(10)), tmp_path / "out.mp4"
    stopped(job, source, output, stop=6)
    (folder_of(output) / "job.json").write_text('{"format": 1')
    with pytest.raises(OutputError, match=r"job\.json: is damaged; begin anew with --overwrite"):
        job(source, output)
    assert job(source, output, overwrite=True).frames == 10


def test_one_job_at_a_time(job, make_video, tmp_path):
    source, output = make_video(pts=range(10)), tmp_path / "out.mp4"
    stopped(job, source, output, stop=6)
    data = json.loads((folder_of(output) / "job.json").read_text())
    with (
        JobFolder(output, data["job"], threads=1),
        pytest.raises(OutputError, match="another process is working"),
    ):
        job(source, output)
    assert kept_frames(output) == 4


def test_a_folder_without_a_segment_goes(job, make_video, files_in, tmp_path):
    stopped(job, make_video(), tmp_path / "out.mp4", stop=2)
    assert files_in(tmp_path) == {"in.mp4"} and not folder_of(tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("what", ["packets", "list", "output"])
def test_disk_full_loses_nothing(job, make_video, monkeypatch, tmp_path, what):
    source, output = make_video(pts=range(10)), tmp_path / "out.mp4"
    stopped(job, source, output, stop=6)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    where = {
        "packets": (SegmentWriter, "write"),
        "list": ("rainclear.runtime.job_folder.write_whole", None),
        "output": ("rainclear.video.mux.Muxer.put", None),
    }[what]
    with monkeypatch.context() as patched:
        if where[1]:
            patched.setattr(*where, full)
        else:
            patched.setattr(where[0], full)
        with pytest.raises(OutputError, match=r"out\.mp4: disk full; free some space"):
            job(source, output)
    assert kept_frames(output) >= 4 and not output.exists()
    assert job(source, output).frames == 10


def test_settings_that_do_not_go_together_are_refused_at_once(job, make_video, tmp_path):
    source = make_video()
    with pytest.raises(OutputError, match="does not support 'libx264'"):
        job(source, tmp_path / "out.webm")
    assert not folder_of(tmp_path / "out.webm").exists()


def test_unreadable_source(job, broken_video, files_in, tmp_path):
    source = broken_video("text")
    with pytest.raises(InputError, match="not a video"):
        job(source, tmp_path / "out.mp4")
    assert files_in(tmp_path) == {source.name}


def test_a_part_in_segments(job, fast, make_video, tmp_path):
    part = Part(start=Fraction(3, 25), end=Fraction(17, 25))
    source = make_video(pts=range(25), sound=True)
    derain_video(source, tmp_path / "plain.mp4", derainer=fast, part=part, encode=LOSSLESS)
    stopped(job, source, tmp_path / "out.mp4", stop=10, part=part, encode=LOSSLESS)
    assert job(source, tmp_path / "out.mp4", part=part, encode=LOSSLESS).frames == 14
    assert frames(tmp_path / "out.mp4") == frames(tmp_path / "plain.mp4")
    assert contents(tmp_path / "out.mp4")[1] == contents(tmp_path / "plain.mp4")[1]


def test_plan():
    assert list(plan_segments(10, length=4)) == [
        Segment(number=0, first=0, frames=4),
        Segment(number=1, first=4, frames=4),
        Segment(number=2, first=8, frames=2),
    ]
    assert next(plan_segments(length=4, first=8)) == Segment(number=2, first=8, frames=4)


def test_what_is_carried_comes_back(derainer, picture, tmp_path):
    for n in range(2):
        derainer.process(picture(n))
    (tmp_path / "state").write_bytes(carried(derainer))
    wanted = [derainer.process(picture(n)) for n in (2, 3)]
    derainer.process(picture(20))
    restore(derainer, tmp_path / "state")
    assert all((derainer.process(picture(n)) == wanted[n - 2]).all() for n in (2, 3))


def test_layout_and_gate_are_carried(tmp_path):
    gate = RainGate(GateSpec(weights_sha256="any", bias=0.0, hold=3))
    derainer = Derainer.from_network(Trail(), TRAIL, device="cpu", precision="fp32", gate=gate)
    state = StreamState(
        network=(torch.rand(1, 3, 4, 5).to(memory_format=torch.channels_last),),
        in_bytes=False,
        thumbnail=torch.rand(1, 3, 2, 2),
        size=(40, 50),
        gate=GateState(open=True, below=2),
    )
    derainer.restore(state)
    (tmp_path / "state").write_bytes(carried(derainer))
    derainer.reset()
    assert derainer.state == StreamState(gate=GateState())
    restore(derainer, tmp_path / "state")
    found = derainer.state
    assert torch.equal(found.network[0], state.network[0])
    assert found.network[0].stride() == state.network[0].stride()
    assert torch.equal(found.thumbnail, state.thumbnail)
    assert (found.in_bytes, found.size, found.gate) == (False, (40, 50), state.gate)
    (tmp_path / "state").write_bytes(b"no state")
    with pytest.raises(InputError, match="holds no state"):
        restore(derainer, tmp_path / "state")


def test_what_decides_on_the_pictures_is_told(fast):
    told = {"device": "cpu", "backend": "eager", "form of the state": "3", "rain gate": "none"}
    assert settings_of(fast, (48, 64)) == told
