"""Lab 05, what one call of sendfile can and cannot do: its limit, the socket's end, the disk's.

Everything here is counted. sendfile(2) answers for Linux; Java's and Windows's ways are cited.
"""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.classroom.subject import KERNEL_HERE, Subject
from zerocopy_lab.client.consumer import fetch, fetch_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.eviction import NotEvicted
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured
from zerocopy_lab.measuring.fetch_calls import Calls
from zerocopy_lab.measuring.fetching import evict_when_let_go
from zerocopy_lab.measuring.recorded import recorded, recorded_words
from zerocopy_lab.pictures.theme import byte_count
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.transfer.connections import connected_pair
from zerocopy_lab.transfer.strategy import MOST_BYTES_PER_CALL

_ASKED_BYTES = 3 << 30
_FILE_BYTES = 16 << 20
_RESPONSE_BYTES = 1 << 20
_FETCHES = 16
_OTHERS = 16

CALLS_AS, SLEEPS_AS = "05 calls per fetch", "05 sleeps in one call"
"""What the reference run calls them."""


# -- Z4: how much one call moves -------------------------------------------------------------------


def most_in_one_call() -> int:
    """Bytes that one sendfile moves when 3 GiB are asked for and nothing is in its way.

    From /dev/zero to /dev/null, so that neither disk nor memory nor a receiver ends the call.
    """
    zeros, nowhere = os.open("/dev/zero", os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)
    try:
        return os.sendfile(nowhere, zeros, 0, _ASKED_BYTES)
    finally:
        os.close(zeros)
        os.close(nowhere)


def first_call_into_a_socket(path: Path) -> int:
    """Bytes of a warm file that one sendfile moves into a non-blocking TCP socket nobody reads."""
    with connected_pair("tcp") as pair, path.open("rb") as file:
        pair.sender.setblocking(False)
        return os.sendfile(pair.sender.fileno(), file.fileno(), 0, path.stat().st_size)


def limit_finding(most_bytes: int, first_bytes: int, calls: Calls | Unmeasured) -> Finding:
    """Z4: at most 2 GB in one call, so a loop."""
    counted = [] if isinstance(calls, Unmeasured) else [
        Quantity("sendfile calls for a fetch of 1 MiB", calls.get("sendfile", 0.0))
    ]  # fmt: skip
    return Aspect("Z4", KERNEL_HERE).counted(
        most_bytes == MOST_BYTES_PER_CALL,
        f"Asked for 3 GiB, one call moved {most_bytes:,} bytes (2 GiB less a page), so large files "
        f"need a loop. But on a non-blocking socket the send buffer ends a call long before: the "
        f"first one moved {byte_count(first_bytes)} of {byte_count(_FILE_BYTES)}. That is why "
        "everybody loops.",
        Quantity("most bytes in one call", most_bytes, "bytes"),
        Quantity("bytes until the socket was full", first_bytes, "bytes"),
        *counted,
        source="sendfile(2), NOTES: at most 0x7ffff000 bytes",
    )


def show_counts(
    most_bytes: int,
    first_bytes: int,
    sleeps: Sleeps | Unmeasured,
    calls: Calls | Unmeasured,
) -> None:
    """Shows the counts as a table."""
    show_table(
        ["counted", "result"],
        [
            ["one call that was asked for 3 GiB moved", f"{most_bytes:,} bytes"],
            [
                f"one call into a socket that nobody reads, asked for {byte_count(_FILE_BYTES)}, "
                "moved",
                f"{first_bytes:,} bytes",
            ],
            ["the calling thread slept inside the call", sleeps_in_words(sleeps)],
            ["for each MiB fetched, the broker's system calls were", calls_in_words(calls)],
        ],
    )


def sleeps_in_words(sleeps: Sleeps | Unmeasured) -> str:
    """How often, cold and warm; from the reference run where it could not be counted."""
    if isinstance(sleeps, Unmeasured):
        there = Sleeps(**recorded(SLEEPS_AS))
        return f"not counted here: {sleeps} {recorded_words(sleeps_in_words(there))}"
    cold, warm = (", ".join(map(str, times)) for times in sleeps)
    return (
        f"{cold} times with the file out of memory, {warm} times with it in memory "
        f"({len(sleeps.cold)} tries each)"
    )


def calls_in_words(calls: Calls | Unmeasured) -> str:
    """How often each; from the reference run where they could not be counted."""
    if isinstance(calls, Unmeasured):
        told = recorded_words(calls_in_words(recorded(CALLS_AS)))
        return f"not counted here: {calls} {told}"
    return ", ".join(f"{name} {times:g}" for name, times in calls.items())


# -- Z5: what does not block, and what does --------------------------------------------------------


class SlowConsumer(NamedTuple):
    """One consumer asks for much and reads nothing, others ask after it: how many got an answer."""

    asked_bytes: int
    served: int
    others: int


def beside_a_slow_consumer(broker: AnyBroker, topic: str) -> SlowConsumer:
    """Does the broker answer others while a consumer does not read? No answer within 10 s counts.

    As many others as a broker may have network threads, and more: where a full socket blocks a
    thread, those that belong to it are not served, whoever else is.
    """
    served = 0
    with contextlib.ExitStack() as connections:
        slow = connections.enter_context(Wire(broker.host, broker.port))
        others = [
            connections.enter_context(Wire(broker.host, broker.port, timeout_s=10))
            for _ in range(_OTHERS)
        ]
        for _ in range(_FETCHES):
            slow.send_frame(fetch_frame(slow, topic, 0, 0, max_bytes=_RESPONSE_BYTES))
        for other in others:
            try:
                served += bool(fetch(other, topic, 0, 0, max_bytes=_RESPONSE_BYTES).records)
            except TimeoutError:
                break  # one that is not served says it all
    return SlowConsumer(_FETCHES * _RESPONSE_BYTES, served, _OTHERS)


class Sleeps(NamedTuple):
    """How often the calling thread slept inside one non-blocking sendfile, run by run."""

    cold: tuple[int, ...]
    warm: tuple[int, ...]


def a_file(directory: Path) -> Path:
    """A file of 16 MiB on the disk that holds `directory`."""
    path = directory / "one-call.bin"
    path.write_bytes(os.urandom(_FILE_BYTES))
    return path


@or_unmeasured(NotEvicted, Unavailable)
def sleeps_in_one_call(path: Path, runs: int = 5) -> Sleeps:
    """Counts with the file evicted and resident; or why that cannot be done here."""
    cold, warm = [], []
    for _ in range(runs):
        evict_when_let_go(path)
        cold.append(_sleeps_of_a_send(path))
        path.read_bytes()
        warm.append(_sleeps_of_a_send(path))
    return Sleeps(tuple(cold), tuple(warm))


def _sleeps_of_a_send(path: Path) -> int:
    """Voluntary context switches of this thread (getrusage(2), RUSAGE_THREAD) during one call."""
    with connected_pair("tcp") as pair, path.open("rb", buffering=0) as file:
        pair.sender.setblocking(False)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        os.sendfile(pair.sender.fileno(), file.fileno(), 0, 1 << 20)
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before


def socket_finding(slow: SlowConsumer, subject: Subject) -> Finding:
    """Z5, the socket."""
    all_served = slow.served == slow.others
    return Aspect("Z5", subject, "the socket").proved(
        all_served,
        f"While one consumer had asked for {byte_count(slow.asked_bytes)} and read nothing, "
        f"{slow.served} of {slow.others} others were served: a full socket "
        f"{'does not block' if all_served else 'blocks'} a network thread.",
        Quantity("consumers served meanwhile", f"{slow.served} of {slow.others}"),
    )


def disk_finding(sleeps: Sleeps | Unmeasured) -> Finding:
    """Z5, the disk: non-blocking is a property of the socket alone."""
    disk = Aspect("Z5", KERNEL_HERE, "the disk")
    if isinstance(sleeps, Unmeasured):
        return disk.not_testable(f"Whether a call sleeps was {sleeps_in_words(sleeps)}")
    return disk.counted(
        *_does_nothing_block(sleeps),
        Quantity("sleeps in a call, file evicted", ", ".join(map(str, sleeps.cold))),
        Quantity("sleeps in a call, file resident", ", ".join(map(str, sleeps.warm))),
        source="Apache Kafka, issue KAFKA-7504",
    )


def _does_nothing_block(sleeps: Sleeps) -> tuple[bool | None, str]:
    asleep = sum(count > 0 for count in sleeps.cold)
    if asleep == len(sleeps.cold) and min(sleeps.cold) > max(sleeps.warm):
        return False, (
            "Non-blocking is only the socket: with the file out of memory, the thread slept in "
            "every single call until the disk had answered. A broker's network thread would have "
            "kept all its other clients waiting."
        )
    if asleep == 0:
        return True, "No call slept, although the file was out of memory."
    return None, "Some calls slept and some did not, or warm ones slept as well."


def calls_findings(calls: Calls | Unmeasured, subject: Subject) -> list[Finding]:
    """Z3 on Linux: what the broker that was asked called; nothing where that was not counted."""
    if isinstance(calls, Unmeasured):
        return []
    return [
        Aspect("Z3", subject, "Linux").counted(
            calls.get("sendfile", 0) > 0,
            f"For each MiB fetched its system calls were: {calls_in_words(calls)}.",
            Quantity("sendfile calls for each MiB", calls.get("sendfile", 0.0)),
        )
    ]
