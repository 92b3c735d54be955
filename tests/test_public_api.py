"""The public API is what tests/public_api.txt says; ``make api`` records a change that is meant.

Signatures are read from the source, as their text must not depend on the versions of Python and
NumPy.
"""

import ast
import inspect
import textwrap
import tomllib
from pathlib import Path

import pytest
import yaml

import rainclear

ROOT = Path(__file__).parent.parent
SNAPSHOT = Path(__file__).with_name("public_api.txt")


def _definition(value: object) -> ast.stmt:
    return ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]  # type: ignore[arg-type]


def _public(name: str) -> bool:
    return not name.startswith("_") or name in ("__call__", "__enter__", "__init__", "__iter__")


def _function(node: ast.FunctionDef, prefix: str) -> str:
    kinds = [d.id for d in node.decorator_list if isinstance(d, ast.Name)]
    kind = "".join(f"@{k} " for k in kinds if k in ("property", "classmethod", "staticmethod"))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{kind}{prefix}{node.name}({ast.unparse(node.args)}){returns}"


def _class(node: ast.ClassDef, prefix: str) -> list[str]:
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"class {prefix}{node.name}({bases})"]
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and _public(item.name):
            lines.append("    " + _function(item, f"{node.name}."))
        elif isinstance(item, ast.AnnAssign) and _public(ast.unparse(item.target)):
            lines.append(f"    {node.name}.{ast.unparse(item)}")
    return lines


def describe() -> str:
    """Every public name with its signature, one a line."""
    lines = [f"rainclear {rainclear.__version__}", ""]
    for name in sorted(rainclear.__all__):
        value = getattr(rainclear, name)
        if inspect.isclass(value):
            node = _definition(value)
            assert isinstance(node, ast.ClassDef)
            lines += _class(node, "rainclear.")
        elif inspect.isroutine(value):
            node = _definition(value)
            assert isinstance(node, ast.FunctionDef)
            lines.append(_function(node, "rainclear."))
        else:
            lines.append(f"rainclear.{name}: {type(value).__name__}")
    return "\n".join(lines) + "\n"


def test_public_api_is_the_recorded_one():
    recorded = SNAPSHOT.read_text(encoding="utf-8")
    assert describe() == recorded, "the public API changed; if that is meant, run: make api"


def test_the_description_notices_a_changed_default(monkeypatch: pytest.MonkeyPatch):
    def derain_video(source: str, *, model: str = "another") -> None: ...

    before = describe()
    monkeypatch.setitem(vars(rainclear), "derain_video", derain_video)
    changed = set(describe().splitlines()) - set(before.splitlines())
    assert changed == {
        "rainclear.derain_video(source: str, *, model: str='another') -> None",
    }


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == citation["version"] == rainclear.__version__
    assert f"## {rainclear.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


if __name__ == "__main__":
    SNAPSHOT.write_text(describe(), encoding="utf-8")
