"""What a fetch session (KIP-227) would save a consumer of many partitions of this broker.

    python -m ci.bench.fetch_sessions [PARTITIONS]

In a session, a request names only the partitions that changed, and a response only those that have
something new. So of a full request's parts, reading the names of all and writing an answer for each
could go; asking every log could not, for somebody has to find out which has something new. Here the
parts are timed one by one, in one process, for a fetch that finds one batch. The least of several
rounds counts, in microseconds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.log.partitions import Partitions
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.fetch import (
    FetchedPartition,
    FetchedTopic,
    fetch_response,
    read_fetch_request,
)
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch

VERSION = 12
ROUNDS = 30


def request_of(count: int) -> bytes:
    """A full request for the first `count` partitions: its body."""
    types = messages.types_of(ApiKey.fetch, VERSION, "request")
    partitions = tuple(
        messages.make(
            types.FetchPartition, partition=index, fetch_offset=0, partition_max_bytes=1 << 20
        )
        for index in range(count)
    )
    request = messages.make(
        types.FetchRequest,
        replica_id=-1,
        max_wait=timedelta(milliseconds=500),
        min_bytes=1,
        max_bytes=1 << 20,
        isolation_level=0,
        session_id=0,
        session_epoch=-1,
        topics=(types.FetchTopic(topic="t", partitions=partitions),),
        forgotten_topics_data=(),
        rack_id="",
    )
    head = messages.request_header(ApiKey.fetch, VERSION, 0, None)
    return messages.encode_request(VERSION, 0, None, request)[4 + len(head) :]


def read_logs(logs: Partitions, count: int) -> list[FetchedPartition]:
    """Ask every log, as a fetch does."""
    found = []
    for index in range(count):
        log = logs.find("t", index)
        records = log.read(0, 1 << 20, at_least_one=True)
        found.append(FetchedPartition(index, 0, log.high_watermark, log.log_start_offset, records))
    return found


def least_us(work: Callable[[], object]) -> float:
    """The shortest of several rounds."""
    took_ns = []
    for _ in range(ROUNDS):
        began_ns = time.perf_counter_ns()
        work()
        took_ns.append(time.perf_counter_ns() - began_ns)
    return min(took_ns) / 1000


def main(count: int) -> None:
    """Print the table."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Broker(BrokerSettings(log_dirs=(Path(directory),))) as broker,
    ):
        broker.logs.create_topic("t", count)
        now_ms = time.time_ns() // 1_000_000
        batch = bytearray(build_batch([Record(0, now_ms, None, b"x" * 900)]))
        broker.logs.find("t", count // 2).append(memoryview(batch))
        body = {many: request_of(many) for many in (count, 0)}
        whole = read_logs(broker.logs, count)
        news = [one for one in whole if one.records is not None]
        print(f"a fetch of {count} partitions, one of which has news")
        print(f"{'':24}{'full':>12}{'session':>12}")
        rows = {
            "read the request, us": [
                least_us(partial(read_fetch_request, memoryview(body[many]), 0, VERSION))
                for many in (count, 0)
            ],
            "ask the logs, us": [least_us(lambda: read_logs(broker.logs, count))] * 2,
            "write the response, us": [
                least_us(partial(fetch_response, 1, VERSION, [FetchedTopic("t", told)]))
                for told in (whole, news)
            ],
        }
        for name, (full, session) in rows.items():
            print(f"{name:24}{full:12,.0f}{session:12,.0f}")
        full, session = (sum(column) for column in zip(*rows.values(), strict=True))
        print(f"{'together, us':24}{full:12,.0f}{session:12,.0f}   saved: {1 - session / full:.0%}")
        sent = [
            sum(
                0 if isinstance(piece, FileSlice) else len(piece)
                for piece in fetch_response(1, VERSION, [FetchedTopic("t", told)])
            )
            for told in (whole, news)
        ]
        print(f"{'bytes asked':24}{len(body[count]):12,}{len(body[0]):12,}")
        print(f"{'bytes around records':24}{sent[0]:12,}{sent[1]:12,}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
