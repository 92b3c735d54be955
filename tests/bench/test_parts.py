"""The parts of the benchmark, each alone."""

import os
import sys
import weakref
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rainclear.bench import bench, ceiling, clip, endtoend, isolate, subject, timing
from rainclear.bench.endtoend import EndToEnd
from rainclear.bench.plan import BenchOptions, Plan
from rainclear.cli.doctor import parse_size
from rainclear.errors import ConfigError, StageError
from rainclear.runtime import memory
from rainclear.runtime.backends import machine
from rainclear.runtime.load import load_model
from rainclear.runtime.memory import peak_rss_mb
from rainclear.video import VideoReader


def test_cost_grows_with_the_pixels(tiny_model):
    network = load_model(str(tiny_model))
    small, large = subject.cost(network, (64, 64)), subject.cost(network, (64, 128))
    heads = sum(p.numel() for p in network.branch_image.parameters())  # read in training alone
    run = sum(p.numel() for p in network.parameters()) - heads
    assert large.parameters == small.parameters == run
    # All but the context's few numbers for a whole picture.
    assert large.multiply_adds == pytest.approx(2 * small.multiply_adds, rel=1e-3)


def test_random_weights_are_the_same_each_time(tiny_model):
    torch.manual_seed(3)
    first = subject.load_subject("dam-zero")
    second = subject.load_subject("dam-zero")
    assert first.weights == "random"
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert subject.load_subject(str(tiny_model)).weights == "published"


def test_ceiling():
    found = ceiling.dense_ceiling(torch.device("cpu"), "fp32", repeats=3, multiply_adds=1e5)
    assert found.gmac_per_s > 0 and found.channels in (32, 64, 128, 256)


def test_ceiling_in_int8(monkeypatch):
    openvino = pytest.importorskip("openvino")
    found = ceiling.dense_ceiling(torch.device("cpu"), "int8", repeats=3, multiply_adds=1e6)
    assert found.gmac_per_s > 0 and found.channels in (32, 64, 128, 256)
    models = []
    compile_model = openvino.Core.compile_model

    def spy(core, model, *rest):
        models.append(compile_model(core, model, *rest))
        return models[-1]

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    ceiling.dense_ceiling(torch.device("cpu"), "int8", repeats=1, multiply_adds=1e6)
    kinds = [
        {info["layerType"].astype(str): info["runtimePrecision"].astype(str) for info in infos}
        for infos in ([op.get_rt_info() for op in m.get_runtime_model().get_ops()] for m in models)
    ]
    assert len(kinds) == 4 and all(kind["Convolution"] in ("u8", "i8") for kind in kinds)


def test_a_system_that_does_not_tell_of_load_and_memory(monkeypatch):
    monkeypatch.delattr(os, "getloadavg")
    monkeypatch.setattr(machine, "_STAT", Path("nowhere"))
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(memory, "_STATUS", Path("nowhere"))
    assert machine.load_average() is None and memory.peak_rss_mb() == 0
    assert machine.cores_in_use() is None


def test_cores_in_use(monkeypatch, tmp_path):
    """Not those that are idle or wait for a disk."""
    stat, now = tmp_path / "stat", [100.0]
    stat.write_text("cpu  100 0 50 1000 300 0 0 0 0 0\ncpu0 1 1 1 1\n")

    def sleep(seconds):
        now[0] += seconds
        stat.write_text("cpu  310 20 90 1090 340 10 5 15 200 0\ncpu0 1 1 1 1\n")

    monkeypatch.setattr(machine, "_STAT", stat)
    monkeypatch.setattr(machine.os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name])
    monkeypatch.setattr(machine, "time", SimpleNamespace(sleep=sleep, perf_counter=lambda: now[0]))
    assert machine.cores_in_use(2.0) == 1.5
    monkeypatch.setattr(machine, "_STAT", tmp_path / "none")
    monkeypatch.setattr(machine, "load_average", lambda: 0.7)
    assert machine.cores_in_use(2.0) == 0.7


def test_a_process_of_its_own():
    assert isolate.call(os.getppid) == os.getpid()
    # Neither the memory of this process nor what getrusage hands on from it.
    assert isolate.call(peak_rss_mb) < peak_rss_mb() / 2
    with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
        isolate.call(parse_size, "big")


def test_a_killed_process_is_an_error():
    with pytest.raises(StageError, match="smaller --size"):
        isolate.call(os._exit, 9)


def test_there_and_back():
    assert list(clip.there_and_back(8, 4)) == [0, 1, 2, 3, 2, 1, 0, 1]
    assert list(clip.there_and_back(3, 1)) == [0, 0, 0]


def test_clip_is_rainy_and_always_the_same(tmp_path):
    clip.write_clip(tmp_path / "a.mp4", (48, 64), 5)
    with VideoReader(tmp_path / "a.mp4") as reader:
        frames = [frame.pixels for frame in reader]
    assert len(frames) == 5 and frames[0].shape == (48, 64, 3)
    clean = clip.drawn_scene((48, 64), 5)
    np.testing.assert_array_equal(clean[0], clip.drawn_scene((48, 64), 5)[0])
    rainy = clip.rain_on(clean)
    np.testing.assert_array_equal(rainy[4], clip.rain_on(clean)[4])
    assert np.abs(rainy[0].astype(int) - clean[0]).mean() > 1
    assert np.abs(clean[1].astype(int) - clean[0]).max() > 0


class Slow:
    """A backend for which time passes as the test says."""

    name = "eager"

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.states = clock, iter(seconds), []

    def prepare(self, size):
        pass

    def run(self, batch, state):
        self.states.append(state)
        self.clock[0] += next(self.seconds)
        return subject.PRENET.build(stages=1, width=2, blocks=0)(batch)._replace(
            state=(torch.zeros(1),)
        )


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def test_times_and_state(clock):
    backend = Slow(clock, [0.5, 0.1, 0.2, 0.3])
    frames = [torch.rand(1, 3, 4, 4)] * 2
    times = timing._run(backend, frames, 4, torch.device("cpu"))
    assert [round(wall, 6) for wall, _ in times] == [0.5, 0.1, 0.2, 0.3]
    assert backend.states[0] is None and all(s is not None for s in backend.states[1:])


def test_quick_networks_are_timed_on_more_frames(clock):
    """What slows a machine down lasts for seconds."""
    backend = Slow(clock, islice(iter(lambda: 0.3, None), 99))
    frames = [torch.rand(1, 3, 4, 4)]
    assert len(timing._run(backend, frames, 5, torch.device("cpu"), seconds=8.0)) == 27


@pytest.mark.parametrize(("seconds", "count"), [(45.0, 3), (25.0, 3), (15.0, 4)])
def test_slow_networks_are_timed_on_fewer_frames(clock, seconds, count):
    backend = Slow(clock, islice(iter(lambda: seconds, None), 99))
    frames = [torch.rand(1, 3, 4, 4)]
    assert len(timing._run(backend, frames, 50, torch.device("cpu"))) == count


@pytest.mark.parametrize(
    ("model", "backend", "device", "small"),
    [
        (None, "eager", "cpu", True),
        (None, "eager", "cuda", False),
        (None, "eager", "cuda:1", False),
        (None, "onnxruntime", "cpu", False),
        ("d-daiam-rt", "eager", "cpu", False),
    ],
)
def test_small_frames_warm_up_the_reference_on_a_cpu_alone(
    model, backend, device, small, monkeypatch
):
    """A GPU would choose its algorithms and take its memory within the frame that is timed."""
    task = timing.Task(model=model, backend=backend, size=(90, 120), device=device, frames=1)
    seen = []

    def run(backend, frames, count, device, seconds=0.0):
        seen.append((frames, count))
        return [(1.0, 1.0)] * count

    monkeypatch.setattr(timing, "_run", run)
    monkeypatch.setattr(
        timing, "make_program", lambda *_, **__: SimpleNamespace(dtype=torch.float32)
    )
    monkeypatch.setattr(
        timing, "make_backend", lambda *_: SimpleNamespace(prepare=lambda size: None)
    )
    monkeypatch.setattr(timing, "moving_frames", lambda size, count, device: size)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 0)
    kept = []
    monkeypatch.setattr(timing, "keep_memory", lambda: kept.append("all"))
    monkeypatch.setattr(timing, "keep_freed_memory", lambda: kept.append("as the commands do"))
    timing.time_task(task)
    assert kept == ["all" if task.model is None else "as the commands do"]
    (first, warm), (size, timed) = seen
    assert (warm, timed) == (3, 1) and size[0] >= 90 and size[1] >= 120
    assert (first == size) is not small


@pytest.mark.parametrize(
    ("device", "told"),
    [("cpu", "after a warm-up on small ones"), ("cuda", "after three to warm up")],
)
def test_the_note_on_the_reference_says_how_it_was_warmed_up(device, told):
    row = SimpleNamespace(frames=1, memory_kept=False)
    plan = Plan(device=torch.device(device))
    (note,) = bench._notes({}, 0.0, 1, BenchOptions(clip_frames=0), plan, {"eager": row})
    assert note == f"PReNet: random weights, 1 frame at the full size {told}"


def _told(load, before, after):
    """The notes where the load and the ceiling were so, on two cores."""
    ceilings = {
        "fp32": {"rounds": [100.0, 140.0, 140.0, 100.0]},
        "int8": {"rounds": [before, after]},
    }
    plan = Plan(device=torch.device("cpu"))
    return bench._notes(ceilings, load, 2, BenchOptions(clip_frames=0), plan, {})


@pytest.mark.parametrize("load", [0.4, None])
def test_no_note_on_a_machine_at_rest(load):
    assert _told(load, 200.0, 219.0) == _told(load, 200.0, 181.0) == []


@pytest.mark.parametrize(
    ("load", "after", "told"),
    [
        (0.6, 200.0, "0.6 cores in use at the start, its ceiling changed by 0%"),
        (0.2, 150.0, "0.2 cores in use at the start, its ceiling changed by 25%"),
        (0.2, 250.0, "0.2 cores in use at the start, its ceiling changed by 25%"),
        (None, 250.0, "the machine was busy: its ceiling changed by 25%"),
    ],
)
def test_the_note_on_a_busy_machine(load, after, told):
    (note,) = _told(load, 200.0, after)
    assert note.startswith("the machine was busy: ") and told in note
    assert "quote none of these times" in note


def test_wall_over_ideal():
    """10 frames of 110 ms, of which 2 are our own, and parts that take 90 ms alone."""
    whole = EndToEnd(
        frames=10,
        seconds=0.6,
        cpu_seconds=1.1,
        overhead_seconds=0.02,
        cores=2,
        stage_seconds={},
        cpu_ms={"decode": 10.0, "model": 60.0, "encode": 20.0},
        fps_without_encoding=1.0,
        peak_memory_mb=None,
    )
    assert whole.wall_over_ideal == pytest.approx(0.6 / 0.54)
    assert whole.parts_over_alone == pytest.approx(1.08 / 0.9)
    assert whole.share["rest"] == pytest.approx(0.02 / 1.1)
    assert whole.share["model"] == pytest.approx(1.08 / 1.1 * 60 / 90)


def _row(**others):
    figures = {
        "precision": "fp32",
        "weights": "random",
        "size": [8, 8],
        "frames": 5,
        "rounds": [others["ms_median"]],
        "prepare_seconds": 1.0,
        "ms_p95": 9.0,
        "cpu_ms_median": 4.0,
        "peak_memory_mb": 100.0,
        "peak_gpu_memory_mb": None,
        "memory_kept": False,
    }
    return timing.Row(**{**figures, **others})


def test_rounds_in_one_row():
    rows = [
        _row(ms_median=3.0, ms_p95=5.0),
        _row(ms_median=9.0, ms_p95=12.0, peak_memory_mb=120.0),
        _row(ms_median=4.0, ms_p95=6.0, cpu_ms_median=6.0),
    ]
    row = timing.pooled(rows)
    assert (row.ms_median, row.ms_p95, row.cpu_ms_median) == (4.0, 6.0, 4.0)
    assert (row.frames, row.rounds) == (15, [3.0, 9.0, 4.0])
    assert (row.peak_memory_mb, row.peak_gpu_memory_mb) == (120.0, None)


def test_the_network_alone_keeps_no_pictures(tmp_path):
    """The job hands them on; fresh pages for each would make the network dearer than in it."""
    alive = weakref.WeakValueDictionary()
    held = []

    class Plain:
        def reset(self):
            pass

        def process(self, pixels):
            held.append(len(alive))
            out = alive[len(held)] = pixels.copy()
            return out

    source = tmp_path / "a.mp4"
    clip.write_clip(source, (48, 64), 5)
    frames = endtoend._first(source)
    assert endtoend._model(frames, Plain()) == len(held) == 15
    assert max(held) <= 1


def test_parts_alone(tmp_path):
    """All are run in every turn, and the file between two of them."""
    source, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    clip.write_clip(source, (48, 64), 5)
    runs = []

    class Plain:
        def reset(self):
            runs.append(0)

        def process(self, pixels):
            runs[-1] += 1
            return pixels

    cpu_ms, fps = endtoend._alone(source, out, Plain())
    assert runs == [5, 15, 5, 15, 5, 15], "what to encode; the network and the file in turns"
    assert fps > 0 and set(cpu_ms) == {"decode", "model", "encode"} and min(cpu_ms.values()) > 0
    with VideoReader(out) as reader:
        times = [frame.pts for frame in reader]
    assert len(times) == 15 and times == sorted(set(times))
