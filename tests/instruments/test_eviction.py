from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

import pytest

from tests.instruments.conftest import PagesFile, needs_linux
from zerocopy_lab.instruments.eviction import NotEvicted, evict
from zerocopy_lab.instruments.host import file_system_of
from zerocopy_lab.instruments.page_residency import page_counts
from zerocopy_lab.instruments.unavailable import Unavailable


@pytest.fixture
def on_a_device(tmp_path: Path) -> None:
    """From tmpfs nothing can be evicted."""
    found = file_system_of(tmp_path)
    if found is not None and found.kind in ("tmpfs", "ramfs"):
        pytest.skip(f"{tmp_path} is on {found.kind}")


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
