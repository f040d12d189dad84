"""Fetch: from an offset to "these bytes, in that file", and not a byte further.

    Fetch request --> for every partition: log.read(offset, limit) --> FileSlice (unread)
                  --> protocol.fetch: bytes, slice, bytes          --> network

Rules, all from KIP-74 and Kafka's `ReplicaManager.readFromLog`:

- the answer has at least one whole batch if there is one, however small the limits; else a large
  batch would block its consumer for ever;
- it may end in the middle of a batch: finding the last whole one would mean reading headers, and
  clients skip the rest;
- if there is less than `min_bytes`, it waits up to `max_wait`; an error is answered at once.

Left out: followers, and fetch sessions (KIP-227): every request is a full one, and session id 0 in
the answer tells clients so. A session would spare a consumer of 1,000 partitions 1.3 of the 1.8 ms
that its fetch costs here, and 70 KB on the wire; one of ten partitions, 9 of 19 µs
(`python -m ci.bench.fetch_sessions`). For that, every consumer would have a state that the broker
keeps, limits and throws away, and on the way of a byte there would be one thing more to know.
"""

from __future__ import annotations

from uuid import UUID

from zerocopy_lab.broker.serving import serves
from zerocopy_lab.broker.waiting import WaitingFetches
from zerocopy_lab.broker.waiting_fetch import PartitionKey
from zerocopy_lab.errors import (
    FetchSessionIdNotFound,
    InconsistentTopicId,
    KafkaError,
    UnknownTopicId,
)
from zerocopy_lab.log.partitions import Partitions
from zerocopy_lab.protocol.fetch import (
    FetchedPartition,
    FetchedTopic,
    FetchRequest,
    WantedPartition,
    fetch_response,
    read_fetch_request,
)
from zerocopy_lab.protocol.framing import Now, Reply, Request
from zerocopy_lab.protocol.versions import ApiKey

#: More than the 20,000 partitions that a broker may have, each asked for once.
MOST_BYTES = 1 << 20

#: Epochs of a request that belongs to no session: one that would begin, or end, one (KIP-227).
_FULL_REQUEST = (0, -1)


class FetchHandler:
    """Answers Fetch requests; its response is pieces."""

    def __init__(self, logs: Partitions, waiting: WaitingFetches, max_bytes: int) -> None:
        self._logs = logs
        self._waiting = waiting
        self._max_bytes = max_bytes

    @serves(
        ApiKey.fetch,
        4,
        18,
        "5: log start offset; 7: sessions, never one here; 9: the leader's epoch; 11: racks; 12: "
        "tagged fields; 13: topics by their ids; 15, 17, 18: for followers; 16: other brokers",
        most_bytes=MOST_BYTES,
    )
    def fetch(self, request: Request) -> Reply:
        """Answer at once when there is enough or nothing to wait for, else later."""
        correlation_id, version = request.correlation_id, request.api_version
        wanted = read_fetch_request(request.frame, request.body_at, version)
        if wanted.session_epoch not in _FULL_REQUEST:
            raise FetchSessionIdNotFound("there are no fetch sessions here")

        found = self._read(wanted)
        if found.is_enough(wanted.min_bytes) or wanted.max_wait_ms <= 0:
            return Now(fetch_response(correlation_id, version, found.topics))

        def if_enough() -> Now | None:
            again = self._read(wanted)
            if not again.is_enough(wanted.min_bytes):
                return None
            return Now(fetch_response(correlation_id, version, again.topics))

        def whatever() -> Now:
            return Now(fetch_response(correlation_id, version, self._read(wanted).topics))

        partitions = self._partitions_of(wanted)
        return self._waiting.wait(partitions, wanted.max_wait_ms / 1000, if_enough, whatever)

    def _read(self, request: FetchRequest) -> _Found:
        """Ask the log of every partition, within the limits of the request and our own."""
        found = _Found(min(request.max_bytes, self._max_bytes))
        for topic in request.topics:
            key = topic.key
            name, topic_id = (key, None) if isinstance(key, str) else self._name_of(key)
            answers = [self._read_one(name, topic_id, one, found) for one in topic.partitions]
            found.topics.append(FetchedTopic(key, answers))
        return found

    def _name_of(self, raw_id: bytes) -> tuple[str | None, UUID]:
        """The name of the topic with this id, None when there is none."""
        topic_id = UUID(bytes=raw_id)
        try:
            return self._logs.name_of(topic_id), topic_id
        except UnknownTopicId:
            return None, topic_id

    def _read_one(
        self, topic: str | None, topic_id: UUID | None, wanted: WantedPartition, found: _Found
    ) -> FetchedPartition:
        index = wanted.partition
        try:
            if topic is None:
                raise UnknownTopicId(f"no topic has the id {topic_id}")
            log = self._logs.find(topic, index)
            if topic_id is not None and log.topic_id != topic_id:
                raise InconsistentTopicId(f"{topic} was made anew, it is not {topic_id}")
            records = log.read(
                wanted.fetch_offset,
                max(min(wanted.partition_max_bytes, found.left_bytes), 0),
                at_least_one=not found.bytes,
            )
        except KafkaError as error:
            found.has_error = True
            return FetchedPartition(index, error.code, -1, -1, None)
        if records is not None:
            found.bytes += records.length
            found.left_bytes -= records.length
        return FetchedPartition(index, 0, log.high_watermark, log.log_start_offset, records)

    def _partitions_of(self, request: FetchRequest) -> list[PartitionKey]:
        found = []
        for topic in request.topics:
            name = topic.key if isinstance(topic.key, str) else self._name_of(topic.key)[0]
            if name is not None:  # else it has gone a moment ago, and nobody will append to it
                found += [(name, wanted.partition) for wanted in topic.partitions]
        return found


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
        is_full = self.bytes >= min_bytes or self.left_bytes <= 0
        return is_full or self.has_error or not self.topics
