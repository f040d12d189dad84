from __future__ import annotations

import os
import sys

import psutil
import pytest

from tests.instruments.conftest import PagesFile, needs_linux, needs_root
from tests.out_of_memory import put_out_of_memory
from zerocopy_lab.instruments.block_io import BlockIo, device_block_io, process_block_io
from zerocopy_lab.instruments.page_residency import PAGE_BYTES
from zerocopy_lab.instruments.unavailable import Unavailable

PAGES = 256


@needs_linux
def test_only_what_misses_the_page_cache_is_read_from_the_device(pages_file: PagesFile) -> None:
    path = pages_file(PAGES)
    before = process_block_io()
    path.read_bytes()
    assert process_block_io().since(before).read_bytes == 0
    put_out_of_memory(path)
    before = process_block_io()
    path.read_bytes()
    assert process_block_io().since(before).read_bytes >= PAGES * PAGE_BYTES


@needs_linux
def test_dirty_pages_are_charged_to_the_writer(pages_file: PagesFile) -> None:
    before = process_block_io()
    path = pages_file(PAGES)
    evictable = os.stat(path).st_dev != os.stat("/dev/shm").st_dev
    written = process_block_io().since(before)
    assert written.written_bytes >= (PAGES * PAGE_BYTES if evictable else 0)
    path.unlink()
    cancelled = process_block_io().since(before).cancelled_write_bytes
    assert cancelled is not None
    assert cancelled <= written.written_bytes


@needs_linux
@needs_root
@pytest.mark.usefixtures("as_nobody")
def test_of_others_an_ordinary_user_is_told_nothing() -> None:
    with pytest.raises(Unavailable, match="another user's"):
        process_block_io(1)


@needs_linux
def test_no_process_no_figures() -> None:
    with pytest.raises(ProcessLookupError):
        process_block_io(2**22 + 1)  # above the largest pid that Linux gives out


def test_elsewhere_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Unavailable, match="only Linux") as refusal:
        process_block_io()
    assert "device_block_io" in refusal.value.remedy


def test_a_machine_that_lists_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    with pytest.raises(Unavailable, match="no block devices"):
        device_block_io()


def test_the_difference_of_two_readings() -> None:
    assert BlockIo(5, 7, 3).since(BlockIo(1, 2, 3)) == BlockIo(4, 5, 0)
    assert BlockIo(5, 7, None).since(BlockIo(1, 2, None)) == BlockIo(4, 5, None)
