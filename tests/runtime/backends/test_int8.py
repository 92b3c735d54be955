import json

import pytest
import torch
from pydantic import ValidationError

from rainclear.errors import DeviceError
from rainclear.nn.realtime import RealtimeDDAiAM
from rainclear.runtime.backends import int8_files, openvino_int8
from rainclear.runtime.backends.auto import Subject, _key
from rainclear.runtime.backends.base import Program
from rainclear.runtime.backends.blocks import BlockGraph
from rainclear.runtime.backends.eager import EagerBackend
from rainclear.runtime.backends.int8_files import (
    INT8_REVISION,
    Int8Ranges,
    find_int8,
    int8_file,
    kept_int8,
    weights_digest,
)
from rainclear.runtime.backends.int8_graph import Int8Graph, quantisable
from rainclear.runtime.backends.layout import to_blocks
from rainclear.runtime.backends.measure import moving_frames
from rainclear.runtime.load import load_model
from tests.runtime.backends.test_blocks import made, small

RANGES = {
    "network.stem": (-128.0, 127.0),
    "network.stem_change": (-128.0, 127.0),
    "layers.same": (-128.0, 127.0),
}


def record(network, **changes):
    return Int8Ranges.model_validate(
        {
            "revision": INT8_REVISION,
            "weights": weights_digest(network),
            "model": "tiny",
            "clips": ("a.mp4",),
            "frames": 4,
            "psnr_db": {},
            "ranges": RANGES,
        }
        | changes
    )


@pytest.fixture
def backend():
    pytest.importorskip("openvino")
    from rainclear.runtime.backends.openvino_int8 import OpenVinoInt8Backend

    return OpenVinoInt8Backend


def played(graph, frames):
    picture, previous, memory = graph.example((1, *frames[0].shape[2:]))
    pictures = []
    for i, frame in enumerate(frames):
        levels = (255 * frame.permute(0, 2, 3, 1)).round().to(torch.uint8).contiguous()
        to_blocks(levels, picture, graph.block)
        previous, maps, memory = graph(picture, previous if i else picture, memory)
        pictures.append(previous.float())
    return pictures, maps, memory


@pytest.mark.parametrize("make", [made, small])
@pytest.mark.parametrize("veil", [False, True])
def test_in_float_it_is_the_network(make, veil, cpu, descriptor):
    network, frames = make(veil=veil), moving_frames((48, 64), 3)
    pictures, _, _ = played(Int8Graph(network).eval(), frames)
    eager = EagerBackend(Program(network=network, descriptor=descriptor, device=cpu))
    state = None
    for frame, picture in zip(frames, pictures, strict=True):
        out = eager.run(frame, state)
        state = out.state
        levels = (255 * out.image.clamp(0, 1)).round().permute(0, 2, 3, 1).contiguous()
        wanted = torch.empty_like(picture)
        to_blocks(levels, wanted, network.block)
        inside = (picture - wanted)[:, 2:-2, 2:-2]  # half a level beyond the border is another
        assert inside.abs().max() <= 1 and (picture - wanted).abs().mean() < 0.1


@torch.no_grad()
def test_evened_out_channels_give_the_same_pictures():
    network, frames = made(veil=True), moving_frames((48, 64), 3)
    graph, other = Int8Graph(network).eval(), Int8Graph(network).eval()
    factors = torch.linspace(1, 8, 32).tolist()
    other.even_out(factors)
    assert not torch.equal(graph.network.stem.weight, other.network.stem.weight)
    for got, want in zip(played(other, frames), played(graph, frames), strict=True):
        for a, b in zip(got, want, strict=True):
            assert torch.allclose(a, b, atol=1.0 if a.dim() == 4 and a.max() > 2 else 1e-4)
    with pytest.raises(ValueError, match="2 factors do not fit"):
        graph.even_out([1.0, 2.0])


@torch.no_grad()
@pytest.mark.parametrize("scale", [1, 100])
def test_soft_maps_are_near_those_of_the_network(scale):
    network = made()
    near, exact = Int8Graph(network).eval(), BlockGraph(network, byte=False).eval()
    read = scale * torch.randn(1, 16, 24, 24, generator=torch.Generator().manual_seed(0))
    maps = [
        graph._soft_map(graph.network.differential_input, read).clone() for graph in (near, exact)
    ]
    assert (maps[0] - maps[1]).abs().max() < 0.0042
    assert maps[1].max() > (0.99 if scale > 1 else 0.5)  # beyond where it is a polynomial, too


def test_the_veil_stays_in_float():
    names = [n for n, m in Int8Graph(made(veil=True)).named_modules() if hasattr(m, "weight")]
    kept = {n for n in names if not quantisable(n)}
    assert {"network.unveil.read", "network.unveil.fuse.0", "layers.gain"} <= kept
    run = {"network.stem", "network.deep.0.first", "layers.same", "layers.refined"}
    assert run.isdisjoint(kept)


def test_pictures_are_read_exactly(backend, descriptor, cpu):
    """A network that adds nothing gives back what it got, in int8 too."""
    torch.manual_seed(0)
    network = RealtimeDDAiAM(veil=True).eval()
    torch.nn.init.zeros_(network.refine_image.weight)
    torch.nn.init.zeros_(network.refine_image.bias)
    from rainclear.nn.reparam import fold_reparam

    network = fold_reparam(network)
    runner = backend(Program(network=network, descriptor=descriptor, device=cpu), record(network))
    picture, state = torch.randint(0, 256, (1, 32, 40, 3), dtype=torch.uint8), None
    for _ in range(2):
        out = runner.run_bytes(picture, state)
        state = out.state
        assert torch.equal(out.image.permute(0, 2, 3, 1), picture)
    assert state[0].dtype == torch.uint8


def test_state_stays_as_it_is_while_the_next_frame_runs(backend, descriptor, cpu):
    network = made(veil=True)
    runner = backend(Program(network=network, descriptor=descriptor, device=cpu), record(network))
    one, two = (torch.randint(0, 256, (1, 32, 40, 3), dtype=torch.uint8) for _ in range(2))
    first = runner.run_bytes(one, None)
    kept = [t.clone() for t in (first.image, *first.state)]
    second = runner.run_bytes(two, first.state)
    for before, now in zip(kept, (first.image, *first.state), strict=True):
        assert torch.equal(before, now)
    again = runner.run_bytes(two, tuple(kept[1:]))
    assert torch.equal(again.image, second.image)


def test_bytes_are_written_by_the_last_convolution(backend, descriptor, cpu, monkeypatch):
    """The same pictures, to the last bit, as those that were clamped and rounded after it."""
    program = Program(network=made(veil=True), descriptor=descriptor, device=cpu)
    rounded = []
    inner = openvino_int8.round_to_bytes

    def round_to_bytes(model):
        before = [node.get_type_name() for node in model.get_ordered_ops()]
        inner(model)
        after = [node.get_type_name() for node in model.get_ordered_ops()]
        rounded.append((before.count("Round"), after.count("Round")))

    monkeypatch.setattr(openvino_int8, "round_to_bytes", round_to_bytes)
    one = backend(program, record(program.network))
    frames = [torch.randint(0, 256, (1, 32, 40, 3), dtype=torch.uint8) for _ in range(3)]
    got = one.run_bytes(frames[0], None)
    monkeypatch.setattr(openvino_int8, "round_to_bytes", lambda model: None)
    other = backend(program, record(program.network))
    want = other.run_bytes(frames[0], None)
    for frame in frames[1:]:
        got, want = one.run_bytes(frame, got.state), other.run_bytes(frame, want.state)
        assert torch.equal(got.image, want.image)
    assert rounded == [(1, 0)]


def test_ranges_of_other_layers_are_refused(backend, descriptor, cpu):
    network = made()
    ranges = record(network, ranges=RANGES | {"network.deeper.0": (-1.0, 1.0)})
    runner = backend(Program(network=network, descriptor=descriptor, device=cpu), ranges)
    with pytest.raises(DeviceError, match=r"no layer 'network\.deeper\.0' to run in int8"):
        runner.prepare((32, 40))
    with pytest.raises(DeviceError, match="of another network: 2 factors"):
        backend(runner._program, record(network, factors=(1.0, 2.0)))


def test_networks_without_a_graph_over_blocks_run_over_pictures(backend, descriptor, cpu):
    network = small(first={"channels": 8, "deep_channels": 8})
    program = Program(network=network, descriptor=descriptor, device=cpu)
    ranges = record(network, ranges={"network.memory.gates": (-4.0, 4.0)})
    runner = backend(program, ranges)
    assert not runner.takes_bytes
    x = torch.rand(1, 3, 32, 40)
    torch.testing.assert_close(
        runner.run(x, None).image, EagerBackend(program).run(x, None).image, atol=0.02, rtol=0
    )
    with pytest.raises(DeviceError, match=r"no layer '.*' to run in int8"):
        backend(program, record(network)).run(x, None)


@pytest.mark.parametrize(
    "ranges", [{}, {"a": (1.0, 2.0)}, {"a": (0.0, 0.0)}, {"a": (-1.0, float("inf"))}]
)
def test_no_ranges_at_all(ranges):
    with pytest.raises(ValidationError):
        record(made(), ranges=ranges)


@pytest.mark.parametrize("name", ["d-daiam-rt", "d-daiam-s"])
def test_shipped_ranges_are_of_the_shipped_weights(name):
    found = find_int8(load_model(name))
    # d-daiam-s is d-daiam-rt several times.
    assert found is not None and found.model == "d-daiam-rt" and found.revision == INT8_REVISION
    for kind in ("moderate", "heavy"):
        assert found.psnr_db[kind]["float"] - found.psnr_db[kind]["int8"] <= 0.2
    assert found.psnr_db["dry"]["int8"] >= 45


def test_shipped_ranges_are_of_layers_that_run_in_int8():
    network = load_model("d-daiam-rt")
    names = {n for n, _ in Int8Graph(network).named_modules() if quantisable(n)}
    assert set(find_int8(network).ranges) <= names


def test_int8_costs_next_to_nothing_on_a_drawn_scene(backend, descriptor, cpu):
    from rainclear.export.check import psnr
    from rainclear.export.frames import generated_frames
    from rainclear.runtime.backends.openvino import OpenVinoBackend

    program = Program(network=load_model("d-daiam-rt"), descriptor=descriptor, device=cpu)
    shown = []
    for runner in (OpenVinoBackend(program), backend(program)):
        state, pictures = None, []
        for frame in generated_frames((96, 160), 4):
            levels = (255 * frame.permute(0, 2, 3, 1)).round().to(torch.uint8).contiguous()
            out = runner.run_bytes(levels, state)
            state = out.state
            pictures.append(out.image.float().div(255).contiguous())
        shown.append(pictures)
    assert psnr(*shown) > 42


def test_the_users_ranges_come_first(tiny_model, monkeypatch):
    network = load_model("d-daiam-rt")
    path = int8_file(network, make=True)
    mine = record(network, model="mine")
    path.write_text(mine.model_dump_json())
    assert find_int8(network) == mine and kept_int8() == [path.stem]
    path.write_text("{}")
    assert find_int8(network).model == "d-daiam-rt"  # damaged: the shipped ones
    other = load_model(str(tiny_model))
    assert find_int8(other) is None
    int8_file(other, make=True).write_text(json.dumps({"ranges": "none"}))
    with pytest.raises(DeviceError, match="holds no ranges for int8: delete it"):
        find_int8(other)


def test_ranges_of_another_revision_do_not_count(monkeypatch):
    network = load_model("d-daiam-rt")
    monkeypatch.setattr(int8_files, "INT8_REVISION", INT8_REVISION + 1)
    assert find_int8(network) is None


def test_new_ranges_are_a_reason_to_measure_again(cache):
    subject = Subject(model="tiny-123", device=torch.device("cpu"), precision="auto")
    before = _key(subject, (48, 64))
    (cache / "int8").mkdir(parents=True)
    (cache / "int8" / "0123.json").touch()
    assert _key(subject, (48, 64)) != before


def test_other_weights_have_another_file(tiny_model):
    network = load_model(str(tiny_model))
    before = int8_file(network)
    with torch.no_grad():
        next(network.parameters()).add_(1e-3)
    assert int8_file(network) != before


def test_without_a_cache_there_is_none(tiny_model, monkeypatch):
    monkeypatch.setenv("RAINCLEAR_CACHE", "")
    assert int8_file(load_model(str(tiny_model))) is None and kept_int8() == []
