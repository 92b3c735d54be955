"""Do the backends give PyTorch's pictures on real frames, state carried? Needs a video.

    python tests/bench/agreement.py VIDEO [--frames 100] [--size 320x176] [--model d-daiam-rt]

In fp32 no pixel may differ from eager mode's by more than 2/255; in a reduced format 45 dB must be
reached. Ends with an error where one does not. int8 is shown, not judged: it is when it is made.
"""

import argparse
import sys
from pathlib import Path

import torch

from rainclear.cli.doctor import parse_size
from rainclear.errors import RainclearError
from rainclear.export.check import psnr
from rainclear.export.frames import clip_frames, rainy_pairs
from rainclear.nn.output import Derained
from rainclear.runtime.backends.make import make_backend, make_program
from rainclear.runtime.backends.measure import feed
from rainclear.runtime.load import load_model, network_of
from rainclear.zoo import find_model

RUNS = (
    ("eager", "bf16"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino-int8", "bf16"),
    ("onnxruntime", "fp32"),
)
WORST, LEAST = 2.0, 45.0


def pictures(model: str, backend: str, precision: str, frames: list[torch.Tensor]):
    """Clamped pictures of a stream."""
    program = make_program(
        load_model(model),
        network_of(find_model(model).spec.architecture),
        backend=backend,
        device=torch.device("cpu"),
        precision=precision,
    )
    run, fed = feed(make_backend(backend, program), frames)
    state, shown = None, []
    for frame in fed:
        out: Derained = run(frame, state)
        state = out.state
        image = out.image.float() / (1 if out.image.is_floating_point() else 255)
        shown.append(image.clamp(0, 1).contiguous().clone())
    return shown


def main() -> None:
    """Run all backends that are installed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", default="320x176")
    parser.add_argument("--model", default="d-daiam-rt")
    options = parser.parse_args()
    clean = clip_frames(options.video, parse_size(options.size), options.frames)
    frames = [(255 * rainy).round() / 255 for rainy, _ in rainy_pairs(clean)]
    wanted = pictures(options.model, "eager", "fp32", frames)
    print(f"{len(frames)} frames of {options.video.name}, {options.size}, moderate rain")
    failed = False
    for backend, precision in RUNS:
        try:
            got = pictures(options.model, backend, precision, frames)
        except RainclearError as error:
            print(f"{backend} {precision}: not run: {error}")
            continue
        gaps = [float((a - b).abs().max()) * 255 for a, b in zip(got, wanted, strict=True)]
        quality = psnr(got, wanted)
        right = max(gaps) <= WORST if precision == "fp32" else quality >= LEAST
        failed |= not right and backend != "openvino-int8"
        print(
            f"{backend} {precision}: at most {max(gaps):.2f} levels (last frame {gaps[-1]:.2f}), "
            f"{quality:.1f} dB{'' if right else ', NOT WITHIN'}"
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
