"""What is not in memory is told apart, and brought in, without anybody looking at it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.out_of_memory import put_out_of_memory
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, page_counts
from zerocopy_lab.log import cold_pages
from zerocopy_lab.log.cold_pages import Cold, about_to_wait, is_cold, unwaiting, warm_up

MIB = 1 << 20

ANY_OF = 20
"""Places of which one must be told cold: to ask makes the kernel begin to read, in the same call
(filemap_get_pages in mm/filemap.c), and a quick disk is now and then done before the answer."""


@pytest.fixture
def file(tmp_path: Path) -> OpenFile:
    """Eight mebibytes that are out of memory."""
    path = tmp_path / "segment"
    path.write_bytes(os.urandom(8 * MIB))
    put_out_of_memory(path)
    file = OpenFile.open(path)
    os.posix_fadvise(file.fd, 0, 0, os.POSIX_FADV_RANDOM)  # a look brings one page, and no more
    if not any(is_cold(FileSlice(file, 4 * MIB + n * PAGE_BYTES, 1)) for n in range(ANY_OF)):
        pytest.skip("this file system cannot be asked without waiting")
    return file


def test_what_is_brought_in_is_cold_no_more(file: OpenFile) -> None:
    piece = FileSlice(file, 1 * MIB + 5, 2 * MIB)
    assert is_cold(piece)
    warm_up(piece)
    assert not is_cold(piece)
    pages = page_counts(file.path, piece.position, piece.length)
    assert pages.resident >= piece.length // PAGE_BYTES
    assert page_counts(file.path).resident < 8 * MIB // PAGE_BYTES


def test_a_piece_is_cold_when_its_end_is(file: OpenFile) -> None:
    warm_up(FileSlice(file, 0, MIB))
    assert not is_cold(FileSlice(file, 0, MIB))
    assert any(is_cold(FileSlice(file, 0, MIB + n * PAGE_BYTES)) for n in range(1, ANY_OF))


def test_a_file_that_shrank_is_no_endless_work(file: OpenFile) -> None:
    os.truncate(file.path, MIB)
    warm_up(FileSlice(file, 0, 8 * MIB))
    assert page_counts(file.path).resident == MIB // PAGE_BYTES


def test_who_does_not_wait_is_told(file: OpenFile) -> None:
    with unwaiting:
        assert any(read_is_refused(file, 100, 2 * MIB + n * PAGE_BYTES) for n in range(ANY_OF))
        with pytest.raises(Cold):
            about_to_wait()
    about_to_wait()
    came = cold_pages.read(file.fd, 100, 2 * MIB)
    with unwaiting:
        assert cold_pages.read(file.fd, 100, 2 * MIB) == came


def test_half_of_it_is_not_enough(file: OpenFile) -> None:
    """The first page is there, the second is not: no header may be taken from half a window."""
    even_pages = [n * 2 * PAGE_BYTES for n in range(ANY_OF)]
    for position in even_pages:
        cold_pages.read(file.fd, PAGE_BYTES, position)
    with unwaiting:
        assert any(read_is_refused(file, 2 * PAGE_BYTES, position) for position in even_pages)


def read_is_refused(file: OpenFile, length: int, position: int) -> bool:
    """Whether it is said to be cold."""
    try:
        cold_pages.read(file.fd, length, position)
    except Cold:
        return True
    return False


def test_a_file_system_that_cannot_be_asked(
    file: OpenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is as if there were no cold pages."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "preadv", refuse)
    assert not is_cold(FileSlice(file, 4 * MIB, MIB))
    with unwaiting:
        assert len(cold_pages.read(file.fd, 100, 4 * MIB)) == 100
