from dataclasses import replace

import pytest

from rainclear.errors import InputError, OutputError
from rainclear.fleet.plan import MANIFEST, plan_fleet, write_manifest
from rainclear.fleet.store import place
from rainclear.runtime.jobs import EncodeOptions


@pytest.fixture
def fill(memory):
    def put(*names):
        for name in names:
            memory.pipe_file(f"/{name}", b"x" * len(name))

    return put


def outputs(plan):
    return [task.output for task in plan.tasks]


def test_folders_keep_their_shape(fill, settings):
    fill("in/b/drive.mp4", "in/a.png", "in/notes.txt", "in/.hidden.mp4", "more/c.mov")
    plan = plan_fleet(["memory://in", "memory://more/c.mov"], "memory://out", settings)
    assert outputs(plan) == ["memory://out/a.png", "memory://out/b/drive.mp4", "memory://out/c.mov"]
    assert [task.source for task in plan.tasks] == [
        "memory://in/a.png",
        "memory://in/b/drive.mp4",
        "memory://more/c.mov",
    ]
    assert [task.bytes for task in plan.tasks] == [8, 14, 10]
    assert plan.folder == "memory://out" and plan.skipped == ()


def test_from_this_machine_to_storage(memory, make_video, settings, tmp_path):
    source = make_video("in/a.mp4")
    plan = plan_fleet([str(tmp_path / "in")], "memory://out", settings)
    assert [(t.source, t.output) for t in plan.tasks] == [(str(source), "memory://out/a.mp4")]


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        ("memory://out/b.mkv", "memory://out/b.mkv"),
        ("memory://out", "memory://out/a.mp4"),
        ("memory://out.mp4/", "memory://out.mp4/a.mp4"),
    ],
)
def test_one_file(fill, settings, output, wanted):
    fill("in/a.mp4")
    assert outputs(plan_fleet(["memory://in/a.mp4"], output, settings)) == [wanted]


@pytest.mark.parametrize(
    ("inputs", "output", "error", "message"),
    [
        (["memory://in/x.mp4"], "memory://out", InputError, "x.mp4: no such file"),
        (["memory://nowhere"], "memory://out", InputError, "nowhere: no such file"),
        (["memory://in/x.mp4"], "memory://y.mp4", InputError, "x.mp4: no such file"),
        (["memory://texts"], "memory://out", InputError, "no video or picture"),
        (["memory://in/a.mp4"], "memory://b.png", OutputError, "does not fit"),
        (["memory://in/a.mp4"], "memory://in/a.mp4", OutputError, "input itself"),
        (["memory://in"], "memory://in", OutputError, "input itself"),
        (["memory://in/a.mp4"], "memory://texts/old.mp4", OutputError, "exists already"),
        (["memory://in", "memory://in2"], "memory://out", OutputError, "would both be written"),
    ],
)
def test_refused(fill, settings, inputs, output, error, message):
    fill("in/a.mp4", "in2/a.mp4", "texts/x.txt")
    if "old" in output:
        fill("texts/old.mp4")
    with pytest.raises(error, match=message):
        plan_fleet(inputs, output, settings)


def test_results_within_the_input_are_no_input(fill, settings):
    fill("in/a.mp4", "in/out/a.mp4", "in/output/b.mp4")
    plan = plan_fleet(["memory://in"], "memory://in/out", replace(settings, overwrite=True))
    assert outputs(plan) == ["memory://in/out/a.mp4", "memory://in/out/output/b.mp4"]


def test_finished_files_are_skipped(fill, settings):
    fill("in/a.mp4", "in/b.mp4", "in/c.mp4")
    write_manifest(place("memory://out"), settings)
    fill("out/b.mp4", "out/.c.partial-1.mp4")
    plan = plan_fleet(["memory://in"], "memory://out", settings)
    assert outputs(plan) == ["memory://out/a.mp4", "memory://out/c.mp4"]
    assert [task.source for task in plan.skipped] == ["memory://in/b.mp4"]
    # Where they are derained makes no difference, and --overwrite begins again.
    assert plan_fleet(["memory://in"], "memory://out", replace(settings, device="cuda")).skipped
    again = plan_fleet(["memory://in"], "memory://out", replace(settings, overwrite=True))
    assert len(again.tasks) == 3 and not again.skipped


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"encode": EncodeOptions(crf=30)}, "encode"),
        ({"compare": True}, "compare"),
        ({"gate": False}, "gate"),
        ({"precision": "bf16"}, "precision"),
    ],
)
def test_files_made_otherwise_are_not_taken_for_finished(fill, settings, change, named):
    fill("in/a.mp4", "out/a.mp4")
    write_manifest(place("memory://out"), settings)
    with pytest.raises(OutputError, match=f"made with another {named};"):
        plan_fleet(["memory://in"], "memory://out", replace(settings, **change))


def test_other_weights_are_noticed(fill, settings):
    fill("in/a.mp4", "out/a.mp4")
    write_manifest(place("memory://out"), settings)
    model = replace(settings.model, sha256="0" * 64)
    with pytest.raises(OutputError, match="another weights"):
        plan_fleet(["memory://in"], "memory://out", replace(settings, model=model))


@pytest.mark.parametrize("manifest", [None, b"{", b"[]"])
def test_files_of_unknown_origin_are_not_taken_for_finished(memory, fill, settings, manifest):
    fill("in/a.mp4", "out/a.mp4")
    if manifest:
        memory.pipe_file(f"/out/{MANIFEST}", manifest)
    with pytest.raises(OutputError, match="is damaged" if manifest else "no fleet made it"):
        plan_fleet(["memory://in"], "memory://out", settings)
