import pytest

from rainclear.export.artefact import SUFFIXES
from rainclear.export.export import ExportOptions, export_model


@pytest.fixture
def export(tiny_model, tmp_path):
    """Exports the tiny model at 48×64; returns the path and the record."""

    def run(kind, name=None, **options):
        path = tmp_path / (name or f"net{SUFFIXES[kind]}")
        options = ExportOptions(**({"size": (48, 64)} | options))
        return path, export_model(str(tiny_model), path, format=kind, options=options)

    return run
