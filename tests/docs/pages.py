"""The fenced blocks of README and docs/, and what the tests change in them to run them."""

import importlib.util
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    sorted(
        path.relative_to(ROOT).as_posix()
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    )
)
SHELLS = ("sh", "bash", "console")
NODE_MODULES = Path(os.environ.get("RAINCLEAR_NODE_MODULES", ROOT / "node_modules"))

NOT_RUN = {
    r"examples/ros2_node\.py": "needs ROS 2, which comes from no package registry",
    r"--nnodes 2": "needs two machines; tests/training runs two processes",
}
"""Commands and Python blocks that are not run, by pattern, with the reason."""

NEEDS = {
    r"yolo|detect": ("ultralytics", "shared/detectors/yolo11n.pt"),
    r"--int8|\.xml\b|openvino": ("openvino", "onnx"),
    r"\btorchrun\b|--devices [2-9]": ("lightning_fabric",),
    r"rainclear serve": ("gradio",),
    r"--engine ray|^ray ": ("ray",),
    r"\bs3://": ("moto", "s3fs", "flask"),
    r"\bffmpeg\b": ("ffmpeg",),
    r"\| node ": ("node", "node_modules/onnxruntime-node"),
    r"examples/gstreamer": ("gi", "x264enc"),
    r"^git ": ("git", ".git"),
}
"""Packages, programs and files that a command or block needs; where they are missing it is left
out, and the test of its page says so."""

SLOW = (
    r"rainclear (train|reproduce|demo|export|doctor|bench|run|detect|calibrate)\b|"
    r"rainclear evaluate detection|rainclear data jrsrd|--engine|--detector|rainclear serve|"
    r"python examples/|load_detector|load_yolo|predictor=|InferenceSession|Pipeline\(|"
    r"torchrun|ray start|python -m|ffmpeg|git clone|VideoCapture\(|rtsp://|_COMPLETE=|derain 0"
)
"""Blocks that take more than about a second; they run with the tests marked slow."""

SHELL = (
    r"[|>]|&&|^(git|torchrun)\b|^python -m|examples/gstreamer|"
    r"^rainclear (train .*--devices|derain .*--engine ray)"
)
"""Commands for a shell and processes of their own; others run in that of the tests."""

SMALLER = (
    (r"\s+# .*$", ""),
    (r"git clone URL", f"git clone --quiet {ROOT}"),
    (r"FILES\.\.\.", "clean.mp4"),
    (r"640([ :x])(?:360|480)", r"64\g<1>48"),
    (r"/usr/share/bash-completion/completions/", ""),
    (r"device=\"cuda\"", "device=\"auto\""),
    (r"--devices 4", "--devices 2"),
    (r"--nproc-per-node 4", "--nproc-per-node 2"),
    (r"--nnodes 2 --nproc-per-node \d", "--nnodes 2 --nproc-per-node 1"),
    (r"^ray start.*$", r"\g<0> --block --num-cpus 1"),
    (r"(?<![\w.~])/data/", "data/"),
    (r"RAINDROP_DIR OUT", "data/raindrop made-joint"),
    (r"--budget \S+", "--steps 1"),
    (r"^(rainclear reproduce table[457].*)$", r"\1 --width 2 --pictures 1"
     " --set training.data.crop=32 --set training.data.workers=0"),
    (r"--size \S+", "--size 48x64"),
    (r"--start \S+", "--start 0.04"),
    (r"--end \S+", "--end 0.12"),
    (r"^(rainclear export (?!.*--size).*)$", r"\1 --size 48x64"),
    (r"^(rainclear bench.*)$",
     r"\1 --frames 3 --clip-frames 3 --backend eager --prenet none --no-quality"
     " --no-growth"),
    (r"^(rainclear demo.*)$", r"\1 --frames 3 --overwrite"),
    (r"^(?!.*--resume)(.*rainclear train .*)$", r"\1 --set optim.steps=1 --set data.crop=32"
     " --set data.frames=2 --set data.backprop=1"
     " --set data.workers=0 --set data.batch=1 --set 'data.include=[\"*.mp4\"]'"
     " --set 'data.validation=[\"*.mp4\"]' --no-tensorboard"),
    (r"^.*(?:torchrun|--devices 2).*$", r"\g<0> --set data.batch=2"),
)  # fmt: skip
"""What is changed in a block so that it is done in a moment on the workshop's tiny files."""


@dataclass(frozen=True, kw_only=True)
class Block:
    page: str
    line: int
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Commands of a shell block: continued lines joined, what they print left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    @property
    def slow(self) -> bool:
        return re.search(SLOW, self.text) is not None


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page, also those in lists."""
    found = []
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in re.finditer(r"^([ ]*)```(\w*)[^\n]*\n(.*?)^\1```$", text, re.M | re.S):
        indent, language, body = match.groups()
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        line = text[: match.start(3)].count("\n") + 1
        found.append(Block(page=page, line=line, language=language, text="\n".join(lines) + "\n"))
    return found


def reason_not_to_run(text: str) -> str | None:
    """Why a command or Python block is not run, or ``None``."""
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, text)), None)


def smaller(text: str) -> str:
    """The command or block as the tests run it."""
    for pattern, instead in SMALLER:
        text = re.sub(pattern, instead, text)
    return text


def words(command: str) -> list[str]:
    """A command's words; comments are left out."""
    return shlex.split(command, comments=True)


def missing(text: str) -> list[str]:
    """What a command or block needs and this machine does not have."""
    asked = [name for pattern, names in NEEDS.items() if re.search(pattern, text) for name in names]
    return [name for name in dict.fromkeys(asked) if not _there(name)]


def _there(name: str) -> bool:
    if name.startswith("node_modules/"):
        return (NODE_MODULES / name.partition("/")[2]).is_dir()
    if name.startswith("shared/"):
        return (ROOT.parent / name).is_file()
    if name.startswith("."):
        return (ROOT / name).exists()
    if name == "gi":  # the distribution's bindings fit its own Python alone
        built = "_gi.cpython-{}{}-*".format(*sys.version_info)
        return any(Path("/usr/lib/python3/dist-packages/gi").glob(built))
    if name == "x264enc":
        return any(Path("/usr/lib").glob("*/gstreamer-1.0/libgstx264.so"))
    return shutil.which(name) is not None or importlib.util.find_spec(name) is not None
