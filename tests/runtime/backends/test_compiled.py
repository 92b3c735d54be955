import sys

import pytest

from rainclear.runtime.backends.compiled import _has_compiler


@pytest.mark.skipif(sys.platform == "win32", reason="programs there are named otherwise")
@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("ccache g++", True),  # as build systems take it, and so does Inductor
        ("ccache", True),
        ("", False),
        ("nowhere g++", False),
        ('"ccache', False),
    ],
)
def test_the_compiler_named_in_cxx(monkeypatch, tmp_path, named, found):
    program = tmp_path / "ccache"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", named)
    assert _has_compiler() is found
