import pytest

from rainclear.errors import InputError, OutputError
from rainclear.runtime.plan import plan


@pytest.fixture
def make(tmp_path):
    def touch(*names: str):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return touch


def pairs(tasks, base) -> dict[str, str]:
    return {str(t.source.relative_to(base)): str(t.output.relative_to(base)) for t in tasks}


def test_one_file_to_a_file_or_into_a_folder(make):
    base = make("a.mp4")
    assert pairs(plan([base / "a.mp4"], base / "b.mkv"), base) == {"a.mp4": "b.mkv"}
    (base / "out").mkdir()
    assert pairs(plan([base / "a.mp4"], base / "out"), base) == {"a.mp4": "out/a.mp4"}


def test_several_files_into_a_new_folder(make):
    base = make("a.mp4", "b.png")
    tasks = plan([base / "a.mp4", base / "b.png"], base / "out")
    assert pairs(tasks, base) == {"a.mp4": "out/a.mp4", "b.png": "out/b.png"}
    assert not (base / "out").exists()


def test_a_folder_keeps_its_shape_and_other_files_are_passed_over(make):
    base = make("in/b.MP4", "in/a/c.png", "in/notes.txt", "in/.a.partial-1-0.mp4")
    assert pairs(plan([base / "in"], base / "out"), base) == {
        "in/a/c.png": "out/a/c.png",
        "in/b.MP4": "out/b.MP4",
    }


def test_results_of_an_earlier_run_inside_the_input_folder_are_not_derained_again(make):
    base = make("in/a.mp4", "in/out/old.mp4", "in/outside/b.mp4")
    tasks = plan([base / "in"], base / "in/out")
    assert pairs(tasks, base) == {
        "in/a.mp4": "in/out/a.mp4",
        "in/outside/b.mp4": "in/out/outside/b.mp4",
    }


def test_output_folder_around_the_input_folder(make):
    base = make("in/a.mp4")
    assert pairs(plan([base / "in"], base), base) == {"in/a.mp4": "a.mp4"}


def test_output_folder_is_the_input_folder(make):
    base = make("in/a.mp4")
    with pytest.raises(OutputError, match=r"a.mp4: is the input itself"):
        plan([base / "in"], base / "in", overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["a.mp4", "link.mp4", "in/../a.mp4"])
def test_output_is_the_input(make, name, overwrite):
    base = make("a.mp4", "in/b.mp4")
    (base / "link.mp4").symlink_to("a.mp4")
    with pytest.raises(OutputError, match="is the input itself"):
        plan([base / "a.mp4"], base / name, overwrite=overwrite)


def test_existing_output(make):
    base = make("a.mp4", "b.mp4")
    with pytest.raises(OutputError, match=r"b.mp4: exists already.*--overwrite"):
        plan([base / "a.mp4"], base / "b.mp4")
    assert len(plan([base / "a.mp4"], base / "b.mp4", overwrite=True)) == 1


def test_two_inputs_of_one_name(make):
    base = make("x/a.mp4", "y/a.mp4")
    with pytest.raises(OutputError, match=r"x/a.mp4 and .*y/a.mp4 would both be written to"):
        plan([base / "x/a.mp4", base / "y"], base / "out")


def test_missing_input_is_named(make):
    base = make("a.mp4")
    with pytest.raises(InputError, match=r"gone.mp4: no such file"):
        plan([base / "a.mp4", base / "gone.mp4"], base / "out")


def test_folder_without_videos(make):
    base = make("in/notes.txt")
    with pytest.raises(InputError, match="holds no video or picture"):
        plan([base / "in"], base / "out")


def test_file_where_a_folder_is_needed(make):
    base = make("in/a.mp4", "out.mp4")
    with pytest.raises(OutputError, match="is a file"):
        plan([base / "in"], base / "out.mp4", overwrite=True)


@pytest.mark.parametrize(
    ("source", "output", "hint"), [("a.mp4", "b.png", r"\.mkv"), ("a.png", "b.mp4", r"\.jpg")]
)
def test_output_of_the_other_kind_names_fitting_suffixes(make, source, output, hint):
    base = make(source)
    with pytest.raises(OutputError, match=f"does not fit.*{hint}"):
        plan([base / source], base / output)
