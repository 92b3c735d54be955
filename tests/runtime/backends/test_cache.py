import json
import multiprocessing
import os
from contextlib import ExitStack

from rainclear.runtime.backends import cache as module
from rainclear.runtime.backends.cache import load, locked, store


def write(folder, name, start):
    os.environ["RAINCLEAR_CACHE"] = str(folder)
    start.wait(60)
    for i in range(20):
        assert store("a.json", f"{name}-{i}", i)


def test_the_cache_keeps_other_keys_and_leaves_no_partial_file(cache):
    assert store("a.json", "x", 1) and store("a.json", "y", [2])
    assert load("a.json") == {"x": 1, "y": [2]}
    assert not store("a.json", "z", object())
    assert sorted(os.listdir(cache)) == [".a.json.lock", "a.json"]
    assert json.loads((cache / "a.json").read_text()) == {"x": 1, "y": [2]}


def test_reading_makes_no_folder(cache):
    assert load("a.json") == {}
    assert not cache.exists()


def test_processes_that_write_at_once_lose_no_key(cache):
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    both = [context.Process(target=write, args=(cache, name, start)) for name in "ab"]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    assert len(load("a.json")) == 40


def test_a_lock_excludes_until_it_is_given_back_or_patience_ends(cache, monkeypatch):
    with locked("x", patience=0), (cache / ".x.lock").open("ab") as other:
        assert module._held_by_another(other)
        with locked("x", patience=0):  # goes on without it
            pass
        with locked("y", patience=0):  # is another
            pass
    with (cache / ".x.lock").open("ab") as other:
        assert not module._held_by_another(other)


def test_who_waits_goes_on_when_the_lock_is_free(cache, monkeypatch):
    holder = ExitStack()
    holder.enter_context(locked("x", patience=0))
    monkeypatch.setattr(module.time, "sleep", lambda _: holder.close())
    with locked("x", patience=1e9), (cache / ".x.lock").open("ab") as other:
        assert module._held_by_another(other)


def test_without_a_folder_or_locks_nothing_is_locked(cache, monkeypatch):
    def unknown(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(module.fcntl, "flock", unknown)
    with locked("x", patience=1e9):
        pass
    monkeypatch.setattr(module, "fcntl", None)
    with locked("x", patience=1e9), locked("x", patience=1e9):
        pass
    monkeypatch.setenv("RAINCLEAR_CACHE", "")
    with locked("x", patience=1e9):
        pass
