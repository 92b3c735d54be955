"""The wheel and the sdist: what is in them, and that the wheel works without the source tree."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LARGEST_WHEEL = 40e6

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from that sdist.

    RAINCLEAR_DIST names one that was built before.
    """
    if built := os.environ.get("RAINCLEAR_DIST"):
        return Path(built).resolve()
    if importlib.util.find_spec("build") is None:
        pytest.skip("needs the package build")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


def one(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_wheel(dist: Path):
    wheel = one(dist, "*.whl")
    assert wheel.stat().st_size < LARGEST_WHEEL
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    assert {
        "rainclear/py.typed",
        "rainclear/_models/d-daiam-rt/model.safetensors",
        "rainclear/_models/d-daiam-rt/README.md",
        "rainclear/_models/dprrn/model.yaml",
    } <= names
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "rainclear").rglob("*.py")}
    assert modules - names == set(), "packages in pyproject.toml lack a folder"
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"rainclear"}
    assert any(name.endswith("licenses/NOTICE") for name in names)


def test_sdist(dist: Path):
    with tarfile.open(one(dist, "*.tar.gz")) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    wanted = ["CHANGELOG.md", "CITATION.cff", "LICENSE", "NOTICE", "README.md", "zensical.toml"]
    wanted += ["docs/index.md", "docs/pictures/serve.jpg", "tests/conftest.py"]
    wanted += [f"examples/{path.name}" for path in (ROOT / "examples").glob("*.*")]
    wanted += ["models/d-daiam-rt/model.safetensors", "rainclear/py.typed"]
    assert set(wanted) - names == set()
    assert [n for n in names if "__pycache__" in n or n.startswith((".", "runs/"))] == []


@pytest.fixture(scope="module")
def environment(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; its dependencies alone are those of this one.

    A path in a .pth file does not run the .pth files there, so that an editable installation of
    the source tree does not come along.
    """
    root = tmp_path_factory.mktemp("environment")
    venv.create(root, with_pip=False, symlinks=True)
    python = root / "bin" / "python"
    (target,) = (root / "lib").glob("python*/site-packages")
    wheel = one(dist, "*.whl")
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", "--quiet", wheel, cwd=root)
    (target / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return root


def test_installed_demo_runs(environment: Path, tmp_path: Path):
    found = run(
        environment / "bin" / "python",
        "-c",
        "import rainclear; print(rainclear.__file__)",
        cwd=tmp_path,
    )
    assert Path(found.strip()).is_relative_to(environment)
    command = environment / "bin" / "rainclear"
    said = run(command, "demo", "--frames", 6, "--device", "cpu", "--out", "demo", cwd=tmp_path)
    assert "PSNR" in said and (tmp_path / "demo" / "derained.mp4").stat().st_size > 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_shell_completion(environment: Path, tmp_path: Path):
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    install = "rainclear --install-completion && echo done"  # bash stays, to be found as the shell
    assert "bash completion installed" in run("bash", "-c", install, cwd=tmp_path, PATH=path)
    assert "rainclear.sh" in (tmp_path / ".bashrc").read_text()
    complete = (
        "source .bash_completions/rainclear.sh; COMP_WORDS=(rainclear de); COMP_CWORD=1;"
        "named=$(complete -p rainclear | sed 's/.*-F \\([^ ]*\\).*/\\1/');"
        '$named rainclear; echo "${COMPREPLY[@]}"'
    )
    said = run("bash", "-c", complete, cwd=tmp_path, PATH=path)
    assert {"demo", "derain"} <= set(said.split())
