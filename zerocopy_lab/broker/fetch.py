"""Fetch: from an offset to "these bytes, in that file", and not a byte further.

    Fetch request --> for every partition: log.read(offset, limit) --> FileSlice (unread)
                  --> protocol.fetch: bytes, slice, bytes          --> network

Rules, all from KIP-74 and Kafka's `ReplicaManager.readFromLog`:

- the answer has at least one whole batch if there is one, however small the limits; else a large
  batch would block its consumer for ever;
- it may end in the middle of a batch: finding the last whole one would mean reading headers, and
  clients skip the rest;
- if there is less than `min_bytes`, it waits up to `max_wait`; an error is answered at once.

Left out: fetch sessions (KIP-227) and followers; every request is a full one from a consumer.
"""

from __future__ import annotations

from zerocopy_lab.broker.serving import serves
from zerocopy_lab.broker.waiting import PartitionKey, WaitingFetches
from zerocopy_lab.errors import FetchSessionIdNotFound, KafkaError
from zerocopy_lab.log import LogDirectories
from zerocopy_lab.protocol.fetch import FetchedPartition, FetchedTopic, fetch_response
from zerocopy_lab.protocol.fetch_request import FetchRequest, WantedPartition, read_fetch_request
from zerocopy_lab.protocol.framing import Now, Reply, Request
from zerocopy_lab.protocol.versions import ApiKey


class FetchHandler:
    """Answers Fetch requests; its response is pieces."""

    def __init__(self, logs: LogDirectories, waiting: WaitingFetches, max_bytes: int) -> None:
        self._logs = logs
        self._waiting = waiting
        self._max_bytes = max_bytes

    @serves(ApiKey.fetch, 4, 11, "5: log start offset; 7: sessions; 9: leader epoch; 11: racks")
    def fetch(self, request: Request) -> Reply:
        """Answer at once when there is enough or nothing to wait for, else later."""
        correlation_id, version = request.correlation_id, request.api_version
        wanted = read_fetch_request(request.frame, request.body_at, version)
        if wanted.session_id != 0:
            raise FetchSessionIdNotFound(f"session {wanted.session_id}: there are no sessions here")

        def whatever() -> Now:
            return Now(fetch_response(correlation_id, version, self._read(wanted).topics))

        def if_enough() -> Now | None:
            found = self._read(wanted)
            if not found.is_enough(wanted.min_bytes):
                return None
            return Now(fetch_response(correlation_id, version, found.topics))

        if wanted.max_wait_ms <= 0:
            return whatever()
        at_once = if_enough()
        if at_once is not None:
            return at_once
        max_wait_s = wanted.max_wait_ms / 1000
        return self._waiting.wait(_partitions_of(wanted), max_wait_s, if_enough, whatever)

    def _read(self, request: FetchRequest) -> _Found:
        """Ask the log of every partition, within the limits of the request and our own."""
        found = _Found(min(request.max_bytes, self._max_bytes))
        for topic in request.topics:
            name = topic.topic
            answers = [self._read_partition(name, wanted, found) for wanted in topic.partitions]
            found.topics.append(FetchedTopic(name, answers))
        return found

    def _read_partition(
        self, topic: str, wanted: WantedPartition, found: _Found
    ) -> FetchedPartition:
        try:
            log = self._logs.find(topic, wanted.partition)
            limit_bytes = min(wanted.partition_max_bytes, found.left_bytes)
            records = log.read(
                wanted.fetch_offset, max(limit_bytes, 0), at_least_one=not found.bytes
            )
        except KafkaError as error:
            found.has_error = True
            return FetchedPartition(wanted.partition, error.code, -1, -1, None)
        if records is not None:
            found.bytes += records.length
            found.left_bytes -= records.length
        return FetchedPartition(
            wanted.partition, 0, log.high_watermark, log.log_start_offset, records
        )


class _Found:
    """What the logs had so far."""

    __slots__ = ("bytes", "has_error", "left_bytes", "topics")

    def __init__(self, limit_bytes: int) -> None:
        self.topics: list[FetchedTopic] = []
        self.bytes = 0
        self.left_bytes = limit_bytes
        self.has_error = False

    def is_enough(self, min_bytes: int) -> bool:
        """Whether the consumer should be answered now. An empty request has nothing to wait for."""
        return self.bytes >= min_bytes or self.has_error or not self.topics


def _partitions_of(request: FetchRequest) -> list[PartitionKey]:
    return [(t.topic, p.partition) for t in request.topics for p in t.partitions]
