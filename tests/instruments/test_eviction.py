from __future__ import annotations

import mmap
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from tests.instruments.conftest import PagesFile, needs_linux
from tests.out_of_memory import require_a_device
from zerocopy_lab.instruments.eviction import NotEvicted, evict
from zerocopy_lab.instruments.host import file_system_of
from zerocopy_lab.instruments.page_residency import page_counts
from zerocopy_lab.instruments.unavailable import Unavailable


@pytest.fixture
def on_a_device(tmp_path: Path) -> None:
    require_a_device(tmp_path)


@needs_linux
@pytest.mark.usefixtures("on_a_device")
def test_the_proof_has_counts_before_and_after(pages_file: PagesFile) -> None:
    path = pages_file(300)
    content = path.read_bytes()
    done = evict(path)
    assert (done.before.resident, done.after.resident) == (300, 0)
    assert page_counts(path).resident == 0
    assert path.read_bytes() == content


@needs_linux
@pytest.mark.usefixtures("on_a_device")
def test_a_mapped_page_stays_and_is_told(pages_file: PagesFile) -> None:
    path = pages_file(20)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[0] is not None
        with pytest.raises(NotEvicted, match=rf"of 20 pages of {path} are still resident"):
            evict(path)
    evict(path)


@needs_linux
@pytest.mark.usefixtures("on_a_device")
def test_pages_in_packets_that_another_processor_has_yet_to_free(pages_file: PagesFile) -> None:
    """Made on one processor and read on another: nobody frees them while the network is quiet."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        pytest.skip("this process has one processor")
    path = pages_file(64)
    size_bytes = path.stat().st_size

    def receive() -> None:
        os.sched_setaffinity(0, {processors[1]})  # of this thread
        left = size_bytes
        while left:
            left -= len(there.recv(left))

    with socket.create_server(("127.0.0.1", 0)) as server:
        here = socket.create_connection(server.getsockname())
        there, _ = server.accept()
    with here, there, open(path, "rb") as file:
        receiver = threading.Thread(target=receive)
        receiver.start()
        os.sched_setaffinity(0, {processors[0]})
        try:
            sent = 0
            while sent < size_bytes:
                sent += os.sendfile(here.fileno(), file.fileno(), sent, size_bytes - sent)
        finally:
            os.sched_setaffinity(0, processors)
        receiver.join()
    assert evict(path).after.resident == 0


@needs_linux
def test_tmpfs_cannot_be_evicted() -> None:
    memory = Path("/dev/shm")
    found = file_system_of(memory)
    if found is None or found.kind != "tmpfs":
        pytest.skip("no tmpfs at /dev/shm")
    with tempfile.NamedTemporaryFile(dir=memory) as file:
        file.write(b"x")
        file.flush()
        with pytest.raises(NotEvicted, match="tmpfs"):
            evict(Path(file.name))


@needs_linux
def test_an_advice_without_effect_is_noticed(
    pages_file: PagesFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fadvise", lambda *_: None)
    with pytest.raises(NotEvicted, match="3 of 3 pages"):
        evict(pages_file(3))


def test_without_fadvise_there_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    with pytest.raises(Unavailable, match="posix_fadvise"):
        evict(tmp_path / "any")
