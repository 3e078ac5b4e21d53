"""A disk that is full or read-only while a result is saved: the old file stays, no half one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.models.record import AttentionRecord
from llm_interp_widgets.results.attribution import Attribution

resource = pytest.importorskip("resource", reason="there are no limits on this system")
TEXT = "The capital of France is Paris, and the capital of Japan is"


@pytest.fixture(params=["attribution", "record"])
def saved(request, tiny_lm):
    """A thing to save, how to open it, and what is told apart."""
    lm = tiny_lm("llama")
    if request.param == "record":
        record = liw.attention(lm, TEXT)
        return record, AttentionRecord.load, lambda r: r.weights(1, 1)
    return liw.attribute(lm, TEXT, 5, "occlusion"), Attribution.load, lambda a: a.scores


def names_in(folder):
    return sorted(one.name for one in folder.iterdir())


class Disk:
    """A real limit of the system on how large files may get: the disk is full beyond it."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.mark.parametrize("old", [True, False], ids=["over an old file", "anew"])
def test_a_disk_that_fills_up_at_any_byte(saved, tmp_path, old):
    thing, load, told = saved
    path = tmp_path / "saved.liw"
    whole = thing.save(path).stat().st_size
    before = path.read_bytes()
    if not old:
        path.unlink()
    times = 0
    for size in (0, 1, *range(whole // 7, whole, max(1, whole // 7)), whole - 1):
        with Disk(size), pytest.raises(ResultError, match=r"Cannot write .*: File too large"):
            thing.save(path)
        times += 1
        assert names_in(tmp_path) == (["saved.liw"] if old else []), "a half file is left"
        assert not old or path.read_bytes() == before
    with Disk(2 * whole):
        thing.save(path)
    np.testing.assert_array_equal(told(load(path)), told(thing))
    print(f"{times} times")


ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES)


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("step", ["open", "replace"])
def test_what_the_system_refuses_is_said_in_its_words(saved, tmp_path, monkeypatch, error, step):
    thing, load, told = saved
    path = thing.save(tmp_path / "saved.liw")

    def refused(*_args, **_options):
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, refused)
        with pytest.raises(ResultError) as caught:
            thing.save(path)
    assert os.strerror(error) in str(caught.value)
    assert names_in(tmp_path) == ["saved.liw"]
    np.testing.assert_array_equal(told(load(path)), told(thing))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
def test_an_interrupt_in_the_middle_leaves_the_old_file(saved, tmp_path, monkeypatch, error):
    thing, load, told = saved
    path = thing.save(tmp_path / "saved.liw")

    def interrupted(file, **_arrays):
        file.write(b"half of it")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", interrupted)
        with pytest.raises(error):
            thing.save(path)
    assert names_in(tmp_path) == ["saved.liw"]
    np.testing.assert_array_equal(told(load(path)), told(thing))


def test_a_long_name_is_written_and_a_link_stays_one(saved, tmp_path):
    thing, load, told = saved
    long, link = tmp_path / ("页" * 80 + ".liw"), tmp_path / "link.liw"
    link.symlink_to(thing.save(long))
    thing.save(link)
    assert link.is_symlink()
    np.testing.assert_array_equal(told(load(link)), told(thing))
    assert names_in(tmp_path) == sorted([long.name, link.name])


def test_places_that_cannot_be_written_are_refused_in_words(saved, tmp_path):
    thing, *_ = saved
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder").mkdir()
    for place in (
        tmp_path / "none" / "saved.liw",
        tmp_path / "file" / "saved.liw",
        tmp_path / "folder",
        tmp_path / ("x" * 300),
        tmp_path / "a\0b",
        tmp_path / "a\ud800",
    ):
        with pytest.raises(ResultError, match=r"Cannot write .*\. Choose another folder"):
            thing.save(place)
    assert names_in(tmp_path) == ["file", "folder"]
    assert names_in(tmp_path / "folder") == []


@pytest.mark.parametrize("rights", [0o600, 0o400, 0o664])
def test_a_file_keeps_its_rights_and_is_never_open_to_more(saved, tmp_path, monkeypatch, rights):
    thing, load, told = saved
    path, seen = thing.save(tmp_path / "saved.liw"), []
    path.chmod(rights)
    usual = np.savez_compressed

    def watched(file, **arrays):
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        usual(file, **arrays)

    monkeypatch.setattr(np, "savez_compressed", watched)
    thing.save(path)
    assert seen == [rights]
    assert stat.S_IMODE(path.stat().st_mode) == rights
    np.testing.assert_array_equal(told(load(path)), told(thing))


def test_a_pipe_is_never_replaced_nor_what_a_link_leads_to(saved, tmp_path):
    thing, *_ = saved
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for place in (pipe, link):
        with pytest.raises(ResultError, match=r"Cannot write .*: it is a folder, a device or a pi"):
            thing.save(place)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert names_in(tmp_path) == ["link", "pipe"]
