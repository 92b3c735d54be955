from collections.abc import Callable
from pathlib import Path

import pytest

from rainclear.evaluation.detection_set import DetectionSet, open_detection_set
from rainclear.evaluation.labels import read_labels


@pytest.fixture
def open_set(tmp_path: Path, write_grey: Callable[..., Path]) -> Callable[..., DetectionSet]:
    def make(pictures: str, labelled: str, **options: object) -> DetectionSet:
        for name in pictures:
            write_grey(f"images/{name}.png", 90)
        (tmp_path / "labels").mkdir()
        for name in labelled:
            (tmp_path / "labels" / f"{name}.txt").touch()
        return open_detection_set(tmp_path / "images", read_labels(tmp_path / "labels"), **options)

    return make


def test_an_empty_label_file_is_a_label(open_set: Callable[..., DetectionSet]):
    pictures = open_set("ab", "ab")
    assert (len(pictures), pictures.unlabelled, pictures.left_out) == (2, (), "")
    assert len(pictures.truth(0, (12, 16, 3)).classes) == 0


def test_pictures_without_a_label_file(open_set: Callable[..., DetectionSet], tmp_path: Path):
    pictures = open_set("abcdef", "be", clean=tmp_path / "images")
    assert [file.name for file in pictures.files] == ["b.png", "e.png"]
    assert pictures.clean == pictures.files
    assert [file.name for file in pictures.unlabelled] == ["a.png", "c.png", "d.png", "f.png"]
    assert pictures.left_out.startswith(
        "4 of 6 pictures have no labels and are left out (a.png, c.png, d.png, …); an empty label"
    )


def test_rain_keeps_what_was_left_out(open_set: Callable[..., DetectionSet]):
    pictures = open_set("ab", "a", rain="heavy", draws=3)
    assert (len(pictures), len(pictures.unlabelled), pictures.draws) == (1, 1, 3)
