import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from rainclear.errors import ConfigError, InputError, OutputError
from rainclear.fleet import store
from rainclear.fleet.store import place


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "source.mp4"
    path.write_bytes(b"rain")
    return path


@pytest.mark.parametrize(
    ("given", "url", "name"),
    [
        ("memory://in/a.mp4", "memory://in/a.mp4", "a.mp4"),
        ("memory:/in/a.mp4", "memory://in/a.mp4", "a.mp4"),  # what a path makes of a URL
        ("memory://in/", "memory://in", "in"),
        ("/data/a.mp4", "/data/a.mp4", "a.mp4"),
        ("file:///data/a.mp4", "/data/a.mp4", "a.mp4"),
        ("file:/data/a::b.mp4", "/data/a::b.mp4", "a::b.mp4"),
    ],
)
def test_names(given, url, name):
    found = place(given)
    assert (found.url, found.name) == (url, name)
    assert (found.local is None) == given.startswith("memory")
    assert found.parent.url == url.rpartition("/")[0]


def test_a_relative_path_is_made_absolute_for_other_machines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place("in/a.mp4").url == str(tmp_path / "in" / "a.mp4")


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_a_folder_and_back(kind, memory, file, tmp_path):
    folder = place("memory://out" if kind == "memory" else tmp_path / "out")
    assert folder.files() == {} and not (folder / "x").exists()
    for name in ("[a]/b*.mp4", "c.mp4"):
        (folder / name).store(file)
    assert folder.files() == {"[a]/b*.mp4": 4, "c.mp4": 4}
    assert folder.is_folder() and not (folder / "c.mp4").is_folder()
    assert (folder / "c.mp4").size() == 4 and (folder / "c.mp4").read_text() == "rain"
    fetched = (folder / "c.mp4").fetch(tmp_path / "fetched.mp4")
    assert fetched.read_bytes() == b"rain"
    # A local file is read where it is.
    assert (fetched == tmp_path / "fetched.mp4") == (kind == "memory")
    file.write_bytes(b"more rain")
    (folder / "c.mp4").store(file)
    assert folder.files() == {"[a]/b*.mp4": 4, "c.mp4": 9}


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_what_an_attempt_left_is_removed_and_its_neighbours_stay(kind, memory, file, tmp_path):
    folder = place("memory://out" if kind == "memory" else tmp_path / "out")
    for name in (".a.partial-1.mp4", ".ab.partial-1.mp4", ".a.mp4", "a.mov"):
        (folder / name).store(file)
    (folder / "a.mp4").store(file)
    assert set(folder.files()) == {".ab.partial-1.mp4", ".a.mp4", "a.mov", "a.mp4"}


def test_a_failed_upload_leaves_nothing(memory, file, monkeypatch):
    target = place("memory://out/a.mp4")
    half = []

    def put_file(self, source, path, **_):
        self.pipe_file(path, b"ra")
        half.append(path)
        raise OSError("the line is down")

    monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
    with pytest.raises(OutputError, match=r"memory://out/a\.mp4: cannot be written: the line"):
        target.store(file)
    assert half and half[0] != target.path  # never under its own name
    assert target.parent.files() == {}


def test_the_name_appears_with_the_whole_file(memory, file, monkeypatch):
    target = place("memory://out/a.mp4")
    seen = []
    real = MemoryFileSystem.put_file

    def put_file(self, *arguments, **options):
        real(self, *arguments, **options)
        seen.append(self.exists(target.path))

    monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
    target.store(file)
    assert seen == [False] and target.exists()


def test_object_stores_are_written_to_at_once(memory, file, monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "protocol", ("s3", "s3a"))
    monkeypatch.setattr(MemoryFileSystem, "cp_file", None)  # moving would copy there
    place("memory://out/a.mp4").store(file)
    assert place("memory://out").files() == {"a.mp4": 4}


def test_errors_name_the_place(memory, file, monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"memory://in/x\.mp4: no such file"):
        place("memory://in/x.mp4").fetch(tmp_path / "x")
    assert place("memory://in/x").read_text() is None

    class BotoError(Exception):
        pass

    def deny(*_, **__):
        raise BotoError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "find", deny)
    with pytest.raises(InputError, match=r"memory://in: cannot be read: Access Denied"):
        place("memory://in").files()
    (tmp_path / "out").write_text("a file in the way")
    with pytest.raises(OutputError, match=r"out/a\.mp4: cannot be written"):
        place(tmp_path / "out" / "a.mp4").store(file)


def test_unknown_and_missing_file_systems(monkeypatch):
    with pytest.raises(ConfigError, match="fsspec knows no such file system"):
        place("rain://in/a.mp4")

    def missing(url):
        raise ImportError("Install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(ConfigError, match=r"gs://b/a\.mp4: .* pip install gcsfs"):
        place("gs:/b/a.mp4")


def test_every_object_store_has_a_package():
    assert set(store._PACKAGES) == set(store._OBJECT_STORES)
