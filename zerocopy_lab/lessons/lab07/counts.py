"""A hundred messages alone and in company: requests, system calls, packets and batches, counted.

The client whose calls are counted is a process of its own (this module, run): the notebook's has
threads that talk to others. System calls need perf or strace; packets are the whole machine's
(`/proc/net/snmp`), so the least of a few passes is taken; batches are read back from the log.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.kafka_runs import recorded_in_words
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.client.consumer import fetch
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.system_calls import count_system_calls, counting_system_calls
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.existing_cluster import AnyBroker
from zerocopy_lab.running.passing_topic import a_topic, batches_of
from zerocopy_lab.running.running_broker import importable_here

MESSAGES = 100
BROKERS_CALLS = "the broker's calls"
"""The part of W2 that these counts are about."""

_PASSES = 3
_SENDING = ("sendto", "sendmsg", "write", "writev", "sendfile")
_RECEIVING = ("recvfrom", "recvmsg", "read", "readv")

Broker = AnyBroker


class Counts(NamedTuple):
    """What the messages took, sent in one way."""

    requests: int
    client_sends: int | Unmeasured
    client_receives: int | Unmeasured
    broker_sends: int | Unmeasured
    broker_receives: int | Unmeasured
    segments: int | Unmeasured
    batches: int
    log_bytes: int


def messages() -> list[bytes]:
    """The first flights of the year."""
    return list(flight_events.repeated(MESSAGES))


def send_all(host: str, port: int, topic: str, batches: Sequence[bytes]) -> None:
    """Each batch by a request, the next when it is answered. Raises RuntimeError when refused."""
    with Wire(host, port) as wire:
        for batch in batches:
            error, _ = produce(wire, topic, 0, batch)
            if error:
                raise RuntimeError(f"a batch was refused: Kafka's error {error}")


def count(broker: Broker, together: int) -> Counts:
    """Sends the messages, so many in a batch, once for each thing that is counted."""
    batches = batches_of(messages(), together)
    with a_topic(broker) as topic:
        packets = min(
            (_packets(broker, topic, batches) for _ in range(_PASSES)),
            key=lambda seen: -1 if isinstance(seen, Unmeasured) else seen,
        )
        kept, log_bytes = _in_the_log(broker, topic)
        client = _client_calls(broker, topic, together)
        served = _broker_calls(broker, topic, batches)
    return Counts(len(batches), *client, *served, packets, kept // _PASSES, log_bytes // _PASSES)


def _client_calls(
    broker: Broker, topic: str, together: int
) -> tuple[int | Unmeasured, int | Unmeasured]:
    command = [sys.executable, "-P", "-m", __name__, broker.host, str(broker.port), topic]
    try:
        calls = count_system_calls(
            [*command, str(together)], ("sendto", "recvfrom"), env=importable_here({})
        )
    except Unavailable as reason:
        return Unmeasured(str(reason)), Unmeasured(str(reason))
    return calls.of("sendto"), calls.of("recvfrom")


def _broker_calls(
    broker: Broker, topic: str, batches: Sequence[bytes]
) -> tuple[int | Unmeasured, int | Unmeasured]:
    try:
        with counting_system_calls(broker.pid, (*_SENDING, *_RECEIVING)) as calls:
            send_all(broker.host, broker.port, topic, batches)
    except Unavailable as reason:
        return Unmeasured(str(reason)), Unmeasured(str(reason))
    return sum(map(calls.of, _SENDING)), sum(map(calls.of, _RECEIVING))


def _packets(broker: Broker, topic: str, batches: Sequence[bytes]) -> int | Unmeasured:
    """TCP segments that left while the batches were sent: both directions over the loopback."""
    before = _segments_out()
    send_all(broker.host, broker.port, topic, batches)
    after = _segments_out()
    return after if isinstance(after, Unmeasured) or isinstance(before, Unmeasured) else (
        after - before
    )  # fmt: skip


def _segments_out() -> int | Unmeasured:
    try:
        lines = Path("/proc/net/snmp").read_text().splitlines()
    except OSError:
        return Unmeasured("there is no /proc/net/snmp")
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("OutSegs")])


def _in_the_log(broker: Broker, topic: str) -> tuple[int, int]:
    """Batches and bytes of what was sent, by fetching it as it lies in the log."""
    kept, size_bytes, offset = 0, 0, 1  # behind the first, which only tried the topic
    with Wire(broker.host, broker.port) as wire:
        while records := fetch(wire, topic, 0, offset).records:
            headers = [
                header for _, header in iterate_headers(memoryview(records), may_be_cut=True)
            ]
            kept += len(headers)
            size_bytes += sum(header.total_bytes for header in headers)
            offset = headers[-1].last_offset + 1
    return kept, size_bytes


def show_counts(alone: Counts, company: Counts) -> None:
    """Both beside each other."""
    names = {
        "requests": "Produce requests",
        "client_sends": "the client's send calls",
        "client_receives": "the client's recv calls",
        "broker_sends": "the broker's calls that send or write",
        "broker_receives": "the broker's calls that receive or read",
        "segments": "TCP segments, both ways",
        "batches": "batches in the log",
        "log_bytes": "bytes in the log",
    }
    rows = [
        [words, _shown(getattr(alone, name)), _shown(getattr(company, name))]
        for name, words in names.items()
    ]
    show_table([f"{MESSAGES} messages", "alone", "in company"], rows)
    for why in dict.fromkeys(str(each) for each in alone if isinstance(each, Unmeasured)):
        print(f"Not counted here: {why} {recorded_in_words('07', 'W2', BROKERS_CALLS)}".rstrip())


def _shown(count: int | Unmeasured) -> str:
    return "not counted here" if isinstance(count, Unmeasured) else f"{count:,}"


if __name__ == "__main__":
    host, port, topic, together = sys.argv[1:]
    send_all(host, int(port), topic, batches_of(messages(), int(together)))
