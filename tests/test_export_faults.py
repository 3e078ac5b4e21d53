"""Exports that fail in the middle: the old file stays whole, and none is ever half written."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from llm_interp_widgets.errors import ExportError
from llm_interp_widgets.export import write_page

HALF = 2_000_000
LIMITED = """
import resource, signal, sys
from llm_interp_widgets.errors import ExportError
from llm_interp_widgets.export import write_page
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_page(sys.argv[1], "b" * 1_000_000, overwrite=True)
except ExportError as error:
    print(error)
"""
NOBODY = """
import os, sys
from llm_interp_widgets.errors import ExportError
from llm_interp_widgets.export import write_page
if os.geteuid() == 0:
    os.setuid(65534)
try:
    write_page(sys.argv[1], "b", overwrite=True)
except ExportError as error:
    print(error)
"""
FOREVER = f"""
import itertools, sys
from llm_interp_widgets.export import write_page
print("go", flush=True)
for letter in itertools.cycle("ab"):
    write_page(sys.argv[1], letter * {HALF}, overwrite=True)
"""


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def python(code: str, path: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.skipif(os.name == "nt", reason="no such limit")
def test_a_file_that_may_not_grow_is_an_error_and_leaves_the_old_one(tmp_path):
    path = write_page(tmp_path / "page.html", "old")
    assert "cannot be written (File too large)" in python(LIMITED, path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["page.html"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_is_an_error_wherever_it_is_noticed(tmp_path, monkeypatch, call, there):
    path = tmp_path / "page.html"
    if there:
        write_page(path, "old")
    calls = []

    def full(*_):
        calls.append(call)
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "write":
        whole = Path.open

        def half(self, mode):
            file = whole(self, mode, buffering=0)
            file.write(b"half")
            return _Full(file, full)

        monkeypatch.setattr(Path, "open", half)
    elif call == "replace":
        monkeypatch.setattr(Path, "replace", full)
        monkeypatch.setattr(os, "link", full)
    else:
        monkeypatch.setattr(os, call, full)
    with pytest.raises(ExportError, match="No space left on device"):
        write_page(path, "new", overwrite=there)
    assert calls
    monkeypatch.undo()
    assert names(tmp_path) == (["page.html"] if there else [])
    assert not there or path.read_text() == "old"


class _Full:
    """A file on a disk that is full after four bytes."""

    def __init__(self, file, full) -> None:
        self._file, self.write = file, full

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._file.close()


@pytest.mark.skipif(os.name == "nt", reason="rights are another matter there")
def test_a_folder_that_is_not_ours_is_an_error():
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "page.html").write_text("old")
        folder.chmod(0o755 if os.geteuid() == 0 else 0o555)
        said = python(NOBODY, folder / "page.html")
        assert "cannot be written (Permission denied); choose another folder" in said
        assert (folder / "page.html").read_text() == "old"
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_killed_export_leaves_a_whole_file_and_the_next_one_clears_up(tmp_path):
    path, left = tmp_path / "page.html", 0
    wait = random.Random(0)
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", FOREVER, path], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "go\n"
            while not path.exists():
                time.sleep(0.001)
            time.sleep(wait.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
        content = path.read_text()
        assert content == content[0] * HALF
        others = [one for one in tmp_path.iterdir() if one != path]
        assert all(one.name.startswith(".page.html.") for one in others)
        assert all(one.suffix == ".part" for one in others)
        left = max(left, len(others))
    assert left, "not one was killed in the middle"
    (tmp_path / ".page.html.notours.part").touch()
    (tmp_path / ".other.html.0123abcd.part").touch()
    for one in tmp_path.iterdir():
        os.utime(one, (0, 0))
    (tmp_path / ".page.html.0123abcd.part").touch()  # someone else is writing this very moment
    write_page(path, "new", overwrite=True)
    assert names(tmp_path) == [
        ".other.html.0123abcd.part",
        ".page.html.0123abcd.part",
        ".page.html.notours.part",
        "page.html",
    ]
    assert path.read_text() == "new"


def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path):
    path = tmp_path / ("页" * 80 + ".html" + "x" * 10)  # 255 bytes
    assert write_page(path, "new").read_text() == "new"
    assert names(tmp_path) == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "kept").mkdir()
    old = write_page(tmp_path / "kept" / "page.html", "old")
    link = tmp_path / "page.html"
    link.symlink_to(old)
    with pytest.raises(ExportError, match="exists already"):
        write_page(link, "new")
    write_page(link, "new", overwrite=True)
    assert link.is_symlink()
    assert old.read_text() == "new"
    assert names(tmp_path) == ["kept", "page.html"]
    assert names(tmp_path / "kept") == ["page.html"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_where_no_file_can_be_is_an_error(tmp_path):
    loop, nowhere = tmp_path / "loop", tmp_path / "nowhere"
    loop.symlink_to(loop)
    nowhere.symlink_to(tmp_path / "planted")
    for place in (loop, tmp_path / "a\0b", tmp_path / "a\ud800"):
        for overwrite in (True, False):
            with pytest.raises(ExportError):
                write_page(place, "new", overwrite=overwrite)
    with pytest.raises(ExportError, match="exists already"):
        write_page(nowhere, "new")
    assert names(tmp_path) == ["loop", "nowhere"]


@pytest.mark.skipif(os.name == "nt", reason="rights are another matter there")
@pytest.mark.parametrize("rights", [0o600, 0o400, 0o664])
def test_a_file_keeps_its_rights_and_is_never_open_to_more(tmp_path, monkeypatch, rights):
    path, seen = tmp_path / "page.html", []
    write_page(path, "old")
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(rights)
    sync = os.fsync

    def watched(number):
        seen.append(stat.S_IMODE(os.fstat(number).st_mode))
        sync(number)

    monkeypatch.setattr(os, "fsync", watched)
    write_page(path, "new", overwrite=True)
    assert seen == [rights]
    assert stat.S_IMODE(path.stat().st_mode) == rights
    assert path.read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="rights are another matter there")
def test_rights_that_cannot_be_set_are_an_error_and_leave_the_old_file(tmp_path, monkeypatch):
    path = write_page(tmp_path / "page.html", "old")

    def refused(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refused)
    write_page(path, "same", overwrite=True)  # there is nothing to set
    os.chmod(path, 0o600)  # noqa: PTH101 - Path's is refused
    with pytest.raises(ExportError, match="Operation not permitted"):
        write_page(path, "new", overwrite=True)
    assert path.read_text() == "same"
    assert names(tmp_path) == ["page.html"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes on this system")
def test_a_pipe_is_never_replaced_nor_what_a_link_leads_to(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for place in (pipe, link):
        for overwrite in (True, False):
            with pytest.raises(ExportError, match="pipe is a device or a pipe; give the name"):
                write_page(place, "new", overwrite=overwrite)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert names(tmp_path) == ["link", "pipe"]
