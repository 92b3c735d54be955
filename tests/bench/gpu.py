"""Figures of docs/performance.md, "On a GPU": the network alone, the device pipeline, files.

Prints one line a figure. Network: median device time of a frame after the other, with state, eager
and from a CUDA graph. Needs an NVIDIA GPU; a clip of 300 frames is generated unless one is given.

Usage: python tests/bench/gpu.py [network] [compile] [pipeline] [files] [--clip VIDEO]
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rainclear import Derainer, Frame, VideoReader, VideoWriter, derain_video, load_model
from rainclear.bench.clip import write_clip
from rainclear.nn.registry import NETWORKS
from rainclear.runtime.backends.measure import moving_frames
from rainclear.runtime.derain_stage import DerainStage, device_pipeline
from rainclear.runtime.executor import Executor, Sink
from rainclear.runtime.graph_stage import GraphStage
from rainclear.runtime.lane_times import measure_lanes
from rainclear.runtime.simulate import simulate
from rainclear.runtime.stream_backends import backend_for

SIZES = {"1280x720": (720, 1280), "1920x1080": (1080, 1920)}
FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FRAMES = 300


class Running:
    """A network that goes from frame to frame with its state."""

    def __init__(self, model: str, size: tuple[int, int], precision: str) -> None:
        height, width = (side + -side % 8 for side in size)
        network: Any = load_model(model).to("cuda").to(memory_format=torch.channels_last)
        self.network = network
        self.frames = [
            frame.to("cuda").contiguous(memory_format=torch.channels_last)
            for frame in moving_frames((height, width), 3)
        ]
        self.dtype, self.count = FORMATS[precision], 0
        self.state = self.network.initial_state(self.frames[0])

    def _call(self, x: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        with torch.autocast("cuda", self.dtype, enabled=self.dtype != torch.float32):
            return self.network(x, state).state

    def step(self) -> None:
        """One frame, launched by the host."""
        self.count += 1
        self.state = self._call(self.frames[self.count % 3], self.state)

    def graph(self) -> Callable[[], None]:
        """One frame from a CUDA graph."""
        self.step()
        x, kept = self.frames[0].clone(), tuple(part.clone() for part in self.state)

        def work() -> None:
            for old, new in zip(kept, self._call(x, kept), strict=True):
                old.copy_(new)

        side, recorded = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                work()
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(recorded):
            work()
        return recorded.replay


def device_ms(step: Callable[[], None], count: int = 120) -> float:
    """Median milliseconds of device time of one call."""
    for _ in range(10):
        step()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    marks[0].record()
    for mark in marks[1:]:
        step()
        mark.record()
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in itertools.pairwise(marks))


def network() -> None:
    """Eager and from a graph, by model, size and number format."""
    for model in ("d-daiam-rt", "d-daiam-s"):
        for name, size in SIZES.items():
            for precision in FORMATS:
                running = Running(model, size, precision)
                eager, graph = device_ms(running.step), device_ms(running.graph())
                print(f"{model} {name} {precision}: eager {eager:.2f} ms, graph {graph:.2f} ms")


def compiled() -> None:
    """``torch.compile``, and a graph of what it made."""
    running = Running("d-daiam-rt", SIZES["1280x720"], "bf16")
    running.step()
    running.network = torch.compile(running.network, dynamic=False)
    begun = time.perf_counter()
    for _ in range(3):
        running.step()
    torch.cuda.synchronize()
    print(f"compiled in {time.perf_counter() - begun:.0f} s")
    eager, graph = device_ms(running.step), device_ms(running.graph())
    print(f"compiled: {eager:.2f} ms, and a graph of it {graph:.2f} ms")


def fps(frames: Iterable[object]) -> float:
    """Frames a second."""
    begun = time.perf_counter()
    count = sum(1 for _ in frames)
    return count / (time.perf_counter() - begun)


def _pictures() -> list[Frame]:
    made = [
        np.ascontiguousarray((255 * frame[0]).round().byte().permute(1, 2, 0).numpy())
        for frame in moving_frames(SIZES["1280x720"], 3)
    ]
    return [Frame(pixels=made[n % 3], index=n) for n in range(FRAMES)]


def pipeline() -> None:
    """From memory to memory, and the lanes alone."""
    frames = _pictures()
    derainer = Derainer("d-daiam-rt", device="cuda", precision="bf16", backend="eager")
    list(derainer.stream(frames[:20]))
    print(f"Derainer: {fps(derainer.stream(frames)):.0f} frames/s")
    for graphs in (True, False):
        for slots in (1, 2, 3):
            lanes = device_pipeline(
                "d-daiam-rt", device="cuda", precision="bf16", slots=slots, graphs=graphs
            )
            list(lanes.stream(frames[:20]))
            reached = max(fps(lanes.stream(frames)) for _ in range(2))
            print(f"pipeline, graphs {graphs}, {slots} slots: {reached:.0f} frames/s")
    stage = DerainStage(
        load_model("d-daiam-rt"), NETWORKS["d-daiam-rt"], device="cuda", precision="bf16"
    )
    backend = backend_for(stage.device)
    costs = measure_lanes(GraphStage(stage, backend), backend, SIZES["1280x720"], frames=60)
    print(f"{costs}; forecast {simulate(costs).fps:.0f} frames/s")


def files(clip: Path) -> None:
    """Decoding, and file to file with the device pipeline and with ``derain_video``."""
    with VideoReader(clip) as reader:
        print(f"decoding alone: {fps(reader):.0f} frames/s")
    lanes = device_pipeline("d-daiam-rt", device="cuda", precision="bf16")
    list(lanes.stream(_pictures()[:20]))
    with VideoReader(clip) as reader, Executor(reader, {}) as decoded:
        print(f"file to nothing: {fps(lanes.stream(decoded)):.0f} frames/s")
    with tempfile.TemporaryDirectory() as name:
        for preset in ("veryfast", "ultrafast"):
            begun, count = time.perf_counter(), 0
            with (
                VideoReader(clip) as reader,
                VideoWriter(Path(name) / f"{preset}.mp4", template=reader, preset=preset) as writer,
                Executor(reader, {}) as decoded,
                Sink(writer.write) as sink,
            ):
                for frame in lanes.stream(decoded):
                    sink.put(frame)
                    count += 1
            print(f"x264 {preset}: {count / (time.perf_counter() - begun):.0f} frames/s")
        derainer = Derainer("d-daiam-rt", device="cuda", precision="bf16", backend="eager")
        list(derainer.stream(_pictures()[:20]))
        report = derain_video(clip, Path(name) / "out.mp4", derainer=derainer)
        print(f"derain_video: {report.fps:.0f} frames/s")


def main() -> None:
    """Print the parts asked for, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="network, compile, pipeline, files")
    parser.add_argument("--clip", type=Path)
    options = parser.parse_args()
    parts = options.parts or ["network", "compile", "pipeline", "files"]
    print(torch.cuda.get_device_name())
    with torch.inference_mode():
        if "network" in parts:
            network()
        if "compile" in parts:
            compiled()
    if "pipeline" in parts:
        pipeline()
    if "files" in parts:
        with tempfile.TemporaryDirectory() as name:
            clip = options.clip or Path(name) / "clip.mp4"
            if options.clip is None:
                write_clip(clip, SIZES["1280x720"], FRAMES)
            files(clip)


if __name__ == "__main__":
    main()
