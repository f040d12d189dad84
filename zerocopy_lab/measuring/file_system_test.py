"""File systems, mounted for it in a mount namespace of their own: the alias test of sendfile with a
file on each, and what sendfile costs from there, warm and cold.

| name      | mounted how                                    | needs                    |
|-----------|------------------------------------------------|--------------------------|
| `tmpfs`   | mount -t tmpfs                                 | a user namespace         |
| `overlay` | two directories of the tmpfs, one over another | a user namespace         |
| ext4, xfs, btrfs | a file of 320 MiB, mostly holes, by mkfs and a loop device | root, mkfs.NAME |
| FUSE      | a program that passes everything through, at once or late | root, /dev/fuse |

    found = try_file_systems(directory, Size(16 << 20, rounds=3))     # directory's own comes first

Cold means: out of the page cache, and what lies below as well; what is in memory only is never
cold. With the process that `unshare` starts, all mounts are gone. Left out: NFS, which needs a
server of its own; what is like it here is a program that answers late.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.host import file_system_of
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.alias_test import OVERWRITTEN, AliasVerdict, alias_test_between
from zerocopy_lab.measuring.another_python import ask_python
from zerocopy_lab.measuring.fetching import evict_when_let_go
from zerocopy_lab.measuring.fuse_pass_through import passed_through
from zerocopy_lab.measuring.racing import TO_BE_SENT, random_file
from zerocopy_lab.transfer import strategies
from zerocopy_lab.transfer.connections import connected_pair

ON_LOOPS: Final = ("ext4", "xfs", "btrfs")
IN_PROGRAMS: Final = {"FUSE": 0.0, "FUSE, each read 2 ms late": 0.002}
_LOOP_BYTES: Final = 320 << 20  # mkfs.xfs wants 300 MiB
_CALL_BYTES: Final = 64 << 10  # what two sockets' buffers hold in any case


class Size(NamedTuple):
    """How much is sent from each, how often, in which order."""

    file_bytes: int
    rounds: int
    seed: int = 1


class OnFileSystem(NamedTuple):
    """One of them: the test (alias, copied, inconclusive; or "" and why not), and the price."""

    name: str
    verdict: str
    detail: str
    warm_cpu_s_per_gib: Sequence[float] = ()
    """the sender's, round by round"""
    cold_s_per_gib: Sequence[float] = ()
    """on the clock; empty where there is nothing to be cold"""


class _Place(NamedTuple):
    """A directory on a file system, or why there is none; and the file below its loop."""

    name: str
    directory: Path
    why_not: str = ""
    image: Path | None = None


def try_file_systems(directory: Path, size: Size) -> list[OnFileSystem]:
    """That of `directory`, then one for each in the table, those that cannot be had with the
    reason. Raises Unavailable.
    """
    words = ["-m", __name__, str(directory), *map(str, size)]
    said = ask_python(words, "--mount", "file systems of our own")
    return [OnFileSystem(*each) for each in json.loads(said)]


# -- inside the namespace --------------------------------------------------------------------------


def _all_of_them(here: Path, size: Size) -> Iterator[OnFileSystem]:
    with tempfile.TemporaryDirectory() as scratch, _mounted(Path(scratch)) as mounted:
        yield from _tried([_where_the_lab_is(here), *mounted], size)


def without_mounting(directory: Path, size: Size, why_not: str) -> list[OnFileSystem]:
    """The same for who may mount nothing: that of `directory`, and what is mounted anyway."""
    anyway = {"tmpfs": Path("/dev/shm")}
    places = [_where_the_lab_is(directory)]
    for name in ("tmpfs", "overlay", *ON_LOOPS, *IN_PROGRAMS):
        known = file_system_of(anyway[name]) if name in anyway else None
        if known is not None and known.kind == name and os.access(anyway[name], os.W_OK):
            places.append(_Place(name, anyway[name]))
        else:
            places.append(_Place(name, directory, why_not))
    return list(_tried(places, size))


def _where_the_lab_is(directory: Path) -> _Place:
    known = file_system_of(directory)
    return _Place(f"{known.kind if known else 'unknown'}, where the lab is", directory)


def _tried(places: Sequence[_Place], size: Size) -> Iterator[OnFileSystem]:
    prices = _prices([place for place in places if not place.why_not], size)
    for place in places:
        if place.why_not:
            yield OnFileSystem(place.name, "", place.why_not)
            continue
        found = _alias_test(place.directory)
        warm, cold = prices[place.name]
        yield OnFileSystem(place.name, found.verdict, found.detail, warm, cold)


def _alias_test(directory: Path) -> AliasVerdict:
    """With a file in that very directory: what a program keeps has no others."""
    with connected_pair("tcp") as pair:
        found = alias_test_between(pair, strategies()["sendfile"], "tcp", directory)
    (directory / OVERWRITTEN).unlink()
    return found


def _prices(there: Sequence[_Place], size: Size) -> dict[str, tuple[list[float], list[float]]]:
    """By name: CPU warm, and seconds on the clock cold; all in turns, in shuffled order."""
    files = {place: random_file(place.directory, size.file_bytes) for place in there}
    found: dict[str, tuple[list[float], list[float]]] = {place.name: ([], []) for place in there}
    order = random.Random(size.seed)
    for _ in range(size.rounds):
        for place in order.sample(list(there), len(there)):
            warm, cold = found[place.name]
            files[place].read_bytes()
            warm.append(_send(files[place]).cpu_s_per_gib)
            if len(cold) + 1 == len(warm) and _is_cold(files[place], place.image):
                cold.append(_send(files[place]).s_per_gib)  # once in memory alone, always so
    for path in files.values():
        path.unlink()
    return found


def _is_cold(path: Path, image: Path | None) -> bool:
    """Evicts the file, and what it lies in; False where its pages are all there is of it."""
    try:
        for each in filter(None, (path, image)):
            evict_when_let_go(each, timeout_s=0.5)
    except (NotEvicted, Unavailable):
        return False
    return True


class _Sent(NamedTuple):
    cpu_s_per_gib: float
    s_per_gib: float


def _send(path: Path) -> _Sent:
    """The whole file by sendfile; between two calls what came is dropped, and the clocks rest."""
    cpu_ns = wall_ns = sent_bytes = 0
    with path.open("rb") as file, connected_pair("tcp") as (sender, receiver):
        length = path.stat().st_size
        while sent_bytes < length:
            began_cpu_ns, began_ns = time.thread_time_ns(), time.perf_counter_ns()
            moved = os.sendfile(sender.fileno(), file.fileno(), sent_bytes, _CALL_BYTES)
            cpu_ns += time.thread_time_ns() - began_cpu_ns
            wall_ns += time.perf_counter_ns() - began_ns
            sent_bytes += moved
            left = moved
            while left:
                left -= len(receiver.recv(left, socket.MSG_TRUNC))
    gib = length / (1 << 30)
    return _Sent(cpu_ns / 1e9 / gib, wall_ns / 1e9 / gib)


@contextmanager
def _mounted(directory: Path) -> Iterator[list[_Place]]:
    """All that can be mounted, the latest unmounted first: the overlay lies on the tmpfs."""
    memory, over = directory / "tmpfs", directory / "overlay"
    places = [_mount("tmpfs", memory, ["-t", "tmpfs", "-o", "size=160m", "tmpfs"])]
    lower, upper, work = below = [memory / name for name in ("lower", "upper", "work")]
    if not places[0].why_not:
        for each in below:
            each.mkdir()
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
    places.append(_mount("overlay", over, ["-t", "overlay", "-o", layers, "overlay"]))
    places += [_on_a_loop(name, directory) for name in ON_LOOPS]
    with ExitStack() as stack:
        for place in places:
            if not place.why_not:  # a loop device is freed with its mount
                words = ["umount", str(place.directory)]
                stack.callback(subprocess.run, words, check=True)
        places += [
            stack.enter_context(_in_a_program(name, directory, delay_s))
            for name, delay_s in IN_PROGRAMS.items()
        ]
        yield places


@contextmanager
def _in_a_program(name: str, directory: Path, delay_s: float) -> Iterator[_Place]:
    there, below = directory / f"at {delay_s}", directory / f"below {delay_s}"
    there.mkdir()
    below.mkdir()
    with passed_through(there, below, delay_s=delay_s) as why_not:
        yield _Place(name, there, why_not, below / TO_BE_SENT)


def _on_a_loop(name: str, directory: Path) -> _Place:
    maker = shutil.which(f"mkfs.{name}")
    if maker is None:
        return _Place(name, directory / name, f"there is no mkfs.{name} here")
    image = directory / f"{name}.image"
    with image.open("wb") as file:
        file.truncate(_LOOP_BYTES)
    made = subprocess.run([maker, "-q", str(image)], capture_output=True, text=True, check=False)
    if made.returncode:
        return _Place(name, directory / name, _last_line(made.stderr))
    mounted = _mount(name, directory / name, ["-t", name, "-o", "loop", str(image)])
    return mounted._replace(image=image)


def _mount(name: str, directory: Path, words: list[str]) -> _Place:
    directory.mkdir()
    done = subprocess.run(
        ["mount", *words, str(directory)], capture_output=True, text=True, check=False
    )
    return _Place(name, directory, _last_line(done.stderr) if done.returncode else "")


def _last_line(said: str) -> str:
    """Without the paths of this run, which mean nothing to a reader."""
    lines = [line for line in said.strip().splitlines() if "dmesg" not in line]
    return re.sub(r"(?<!\S)/[^\s:]+", "…", lines[-1].strip()) if lines else "it said nothing"


if __name__ == "__main__":
    place, *numbers = sys.argv[1:]
    print(json.dumps(list(_all_of_them(Path(place), Size(*map(int, numbers))))))
