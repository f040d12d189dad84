"""What can be measured on this machine, as whom, and what to do for the rest.

Every row is found out by trying the instrument on something whose answer is known, not by reading
settings: capabilities, paranoia levels, containers and virtual machines all have a say, and some
instruments answer 0 where they should refuse.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal, NamedTuple

from zerocopy_lab.instruments import page_calls, system_calls
from zerocopy_lab.instruments.block_io import device_block_io, process_block_io
from zerocopy_lab.instruments.copied_bytes import why_no_copied_bytes
from zerocopy_lab.instruments.eviction import evict
from zerocopy_lab.instruments.memory import pressure, system_memory
from zerocopy_lab.instruments.network import congestion_controls, network_cards
from zerocopy_lab.instruments.page_residency import PAGE_BYTES, page_counts, why_no_cachestat
from zerocopy_lab.instruments.processor import processor_use
from zerocopy_lab.instruments.unavailable import Unavailable

EvidenceTag = Literal["PROVED", "COUNTED", "TIMED"]


class Capability(NamedTuple):
    """One instrument on this machine. `why_not` is None when it works here, for this user."""

    evidence: EvidenceTag
    question: str
    instrument: str
    whom: str
    """who may use it where it exists"""
    why_not: str | None
    remedy: str
    """what to do when it is not available"""
    trap: str

    @property
    def available(self) -> bool:
        """Works here, now, for this user."""
        return self.why_not is None


def capabilities(directory: Path) -> list[Capability]:
    """Try every instrument; `directory` is where files are made whose pages are looked at.

    Leaves nothing behind. Takes about a second, most of it for perf to let go of its tracepoints.
    """
    return [*_timed(), *_pages(directory), *_calls(), *_machine()]


def _timed() -> list[Capability]:
    return [
        Capability(
            "TIMED", "CPU time, switches and faults of a process", "process clock, /proc/PID",
            "anyone", _why_not(processor_use), "none needed",
            "user and system alone are in ticks of 10 ms; ended threads lose their switches",
        ),
    ]  # fmt: skip


def _pages(directory: Path) -> list[Capability]:
    return [
        Capability(
            "COUNTED", "resident and dirty pages of a file", "cachestat",
            "the file's owner, root", _why_no_true_cachestat(directory), "use Linux >= 6.5 and a"
            " directory that is not on overlay",
            "on overlay it answers 0 for every file, without an error",
        ),
        Capability(
            "COUNTED", "resident pages of a file, one by one", "mincore",
            "the file's owner, root", _why_not(lambda: _ask_mincore(directory)),
            "run on Linux, with a directory of one's own",
            "calls all pages of other people's files resident",
        ),
        Capability(
            "PROVED", "a file is out of memory", "fsync, posix_fadvise, counting what is left",
            "the file's owner, root", _why_not(lambda: _evict_a_page(directory)),
            "use Linux, and a directory on a disk file system (not tmpfs)",
            "only advice: mapped pages stay; and the host may still hold the device in its memory",
        ),
    ]  # fmt: skip


def _calls() -> list[Capability]:
    return [
        Capability(
            "COUNTED", "system calls by name", "perf stat", "root",
            system_calls.why_no_meter("perf"), "install perf and run as root; strace counts too",
            "some of its events answer 0 to ordinary users instead of refusing",
        ),
        Capability(
            "COUNTED", "system calls by name", "strace -c -f", "own processes",
            system_calls.why_no_meter("strace"), "install strace",
            "ruins every timing: count in a pass of its own",
        ),
        Capability(
            "COUNTED", "bytes copied out to receivers", "perf, skb:skb_copy_datagram_iovec", "root",
            why_no_copied_bytes(), "install perf and run as root; the alias test proves more",
            "senders have no such counter",
        ),
    ]  # fmt: skip


def _machine() -> list[Capability]:
    return [
        Capability(
            "COUNTED", "device bytes of a process", "/proc/PID/io", "own processes",
            _why_not(process_block_io), "use the counters of the whole machine, and keep it quiet",
            "its rchar and wchar are no copy meter",
        ),
        Capability(
            "COUNTED", "device bytes of the machine", "psutil", "anyone",
            _why_not(device_block_io), "use /proc/PID/io on Linux",
            "everybody's traffic is in it",
        ),
        Capability(
            "COUNTED", "dirty and writeback bytes of the machine", "/proc/meminfo", "anyone",
            _why_no_dirty_bytes(), "run on Linux",
            "a container shows those of the host",
        ),
        Capability(
            "COUNTED", "time that work stood still for I/O, memory", "/proc/pressure", "anyone",
            _why_not(lambda: pressure("io")), "use Linux >= 4.20 with PSI (psi=1)",
            "everybody's waiting is in it",
        ),
        Capability(
            "PROVED", "congestion control of a socket", "TCP_CONGESTION", "anyone",
            _why_not(congestion_controls), "run on Linux",
            "under BBR sendfile loses over loopback: set cubic or reno on measured sockets",
        ),
        Capability(
            "PROVED", "what a network card does by itself", "SIOCETHTOOL, /sys/class/net", "anyone",
            _why_not(network_cards), "run on Linux",
            "loopback claims every feature and has no DMA at all",
        ),
    ]  # fmt: skip


def _why_not(probe: Callable[[], object]) -> str | None:
    """Try it. What the system lacks becomes a reason; our own mistakes stay exceptions."""
    try:
        probe()
    except Unavailable as reason:
        return reason.why
    except OSError as error:
        return f"{error.strerror or error}"
    return None


def _why_no_true_cachestat(directory: Path) -> str | None:
    return why_no_cachestat() or _why_not(lambda: _ask_cachestat(directory))


def _ask_cachestat(directory: Path) -> None:
    with _one_page_file(directory) as file:
        if page_counts(Path(file.name)).meter != "cachestat":
            why = f"it does not see the pages of files in {directory}"
            raise Unavailable("cachestat", why, "Use another directory")


def _ask_mincore(directory: Path) -> None:
    with _one_page_file(directory) as file:
        if sys.platform != "linux" or page_calls.mincore(file.fileno(), 0, PAGE_BYTES) != b"\1":
            raise Unavailable("mincore", f"no true answers on {sys.platform}", "Run on Linux")


def _evict_a_page(directory: Path) -> None:
    with _one_page_file(directory) as file:
        evict(Path(file.name))


@contextlib.contextmanager
def _one_page_file(directory: Path) -> Iterator[IO[bytes]]:
    """A page that was just written is resident; whoever says otherwise does not see this file."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        file.write(bytes(PAGE_BYTES))
        file.flush()
        yield file


def _why_no_dirty_bytes() -> str | None:
    unknown = system_memory().dirty_bytes is None
    return f"{sys.platform} does not say" if unknown else None
