"""One worker a device: every item once, errors by item, and no thread afterwards."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainclear.errors import InputError
from rainclear.runtime.workers import all_devices, on_devices


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("rainclear-")]


def test_each_device_works_and_every_item_is_done_once():
    together = threading.Barrier(3, timeout=5)
    made: list[str] = []

    def make(device):
        made.append(device)

        def run(item):
            if item < 3:
                together.wait()  # opens when three work at the same time
            return device, item * item

        return run

    names = ["cuda:0", "cuda:1", "cuda:2"]
    done = dict(on_devices(range(20), make, devices=names))
    assert {item: square for item, (_, square) in done.items()} == {n: n * n for n in range(20)}
    assert {device for device, _ in done.values()} == set(names)
    assert sorted(made) == names, "a model is loaded once a device"
    assert threads() == []


def test_an_item_that_fails_does_not_stop_the_others():
    def make(device):
        def run(item):
            if item % 3 == 0:
                raise InputError(f"{item}: damaged")
            return item

        return run

    done = dict(on_devices(range(9), make, devices=["a", "b"]))
    assert sorted(done) == list(range(9))
    assert [str(done[n]) for n in (0, 3, 6)] == ["0: damaged", "3: damaged", "6: damaged"]
    assert [done[n] for n in (1, 2, 4, 5, 7, 8)] == [1, 2, 4, 5, 7, 8]


@settings(max_examples=40, deadline=None)
@given(
    devices=st.integers(1, 4),
    items=st.integers(1, 12),
    at=st.integers(0, 11),
    make_fails=st.booleans(),
)
def test_an_error_that_nobody_expected_reaches_the_caller(devices, items, at, make_fails):
    def make(device):
        if make_fails:
            raise ZeroDivisionError("driver")

        def run(item):
            if item == at % items:
                raise ZeroDivisionError("bug")
            return item

        return run

    with pytest.raises(ZeroDivisionError):
        list(on_devices(range(items), make, devices=[str(n) for n in range(devices)]))
    assert threads() == []


def test_leaving_early_ends_the_workers():
    begun = []

    def make(device):
        def run(item):
            begun.append(item)
            time.sleep(0.005)
            return item

        return run

    results = on_devices(range(1000), make, devices=["a", "b"])
    next(results)
    results.close()
    assert threads() == []
    assert len(begun) < 20


def test_no_items_load_no_model_and_no_device_is_refused():
    assert list(on_devices([], lambda device: pytest.fail("loaded"), devices=["a"])) == []
    with pytest.raises(ValueError, match="at least one device"):
        next(on_devices([1], lambda device: lambda item: item, devices=[]))


def test_the_devices_of_this_machine(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert all_devices() == ["cuda:0", "cuda:1"]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert all_devices() == ["cpu"]
