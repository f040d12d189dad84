"""Produce: whole batches go from the receive buffer into the log.

    frame --> protocol.produce: views
          --> log.append(view): check, patch the offset, one write(2)
          --> consumers who wait

Batches stay shut, but for those that `log.batch_rules` names. What takes long is done aside: to
open what is large or packed, and to read a request of very many partitions.

acks says what the producer wants to hear, and here, with one replica, two of the three mean the
same:

    0        nothing; an error closes the connection, which is all that the producer can notice
    1, all   an answer once the batch is in the log (in the page cache; `flush.messages` and
             `flush.ms` say when it is forced to the disk)

Left out: transactions.
"""

from __future__ import annotations

import logging
from functools import partial
from uuid import UUID

from zerocopy_lab.broker.own_thread import Aside
from zerocopy_lab.broker.serving import ANY_LENGTH, LARGE_BYTES, serves
from zerocopy_lab.broker.waiting import WaitingFetches
from zerocopy_lab.errors import (
    CloseConnection,
    InvalidRecord,
    InvalidRequiredAcks,
    InvalidTopic,
    KafkaError,
    RequestTimedOut,
    TransactionalIdAuthorizationFailed,
    UnsupportedCompressionType,
)
from zerocopy_lab.log import Appended, PartitionLog
from zerocopy_lab.log.batch_rules import Trust, codec_id
from zerocopy_lab.log.file_names import INTERNAL_TOPICS
from zerocopy_lab.log.partitions import Partitions
from zerocopy_lab.protocol.framing import Client, Nothing, Now, Reply, Request
from zerocopy_lab.protocol.produce import (
    ManyPartitions,
    PartitionBatches,
    ProducedPartition,
    ProduceRequest,
    produce_response,
    read_produce_request,
)
from zerocopy_lab.protocol.versions import ApiKey

_LOGGER = logging.getLogger(__name__)

#: Below are the message formats of before Kafka 0.11. They are advertised all the same, as by Kafka
#: 4: librdkafka before 2.11.1 stops compressing when version 0 is missing.
LOWEST_SERVED = 3
ZSTD_FROM = 7
_ZSTD = 4

#: So many are answered in one turn; the others wait meanwhile, 10 ms perhaps.
MOST_PARTITIONS = 500
#: So many are read at all: 90 MiB of nulls would become gigabytes of objects. A producer sends each
#: partition one batch, and the 13,000 smallest fill Java's `max.request.size`.
MOST_PARTITIONS_ASIDE = 1 << 16

#: Where a batch goes, or why it goes nowhere.
_Place = PartitionLog | KafkaError


class ProduceHandler:
    """Answers Produce requests, whose payload is not copied."""

    def __init__(
        self, logs: Partitions, waiting: WaitingFetches, aside: Aside, validation: str = "sample"
    ) -> None:
        """`validation`: which batches are opened (`batch.validation`)."""
        self._logs = logs
        self._waiting = waiting
        self._aside = aside
        self._validation = validation

    @serves(
        ApiKey.produce,
        0,
        13,
        "3: batches of today; 5: log start offset; 7: zstd; 8: which records are to blame; 10: who "
        "leads (never needed); 13: topic ids",
        large_bytes=ANY_LENGTH,
        most_bytes=ANY_LENGTH,
    )
    def produce(self, request: Request) -> Reply:
        """Append everything, then answer (acks 1 and all) or not (acks 0)."""
        if request.api_version < LOWEST_SERVED:
            raise CloseConnection(
                f"Produce version {request.api_version} carries a message format of before Kafka "
                f"0.11; this broker serves {LOWEST_SERVED} and above"
            )
        trust = request.client.trust
        if trust is None:
            trust = request.client.trust = Trust()
        trust.next_request(self._validation)
        frame, body_at, version = request.frame, request.body_at, request.api_version
        try:
            wanted = read_produce_request(frame, body_at, version, MOST_PARTITIONS)
        except ManyPartitions:
            return self._append_to_many(request.kept())
        places = [self._place(wanted, batches, version) for batches in wanted.partitions]
        if trust.opens or any(map(_opens, places)):
            return self._append_opened(wanted, places, request)
        return self._append(wanted, places, request)

    def _append_opened(
        self, wanted: ProduceRequest, places: list[_Place], request: Request
    ) -> Reply:
        """The same when batches are looked at: aside, unless all are small and none is packed."""
        trust = request.client.trust
        sent = [batches.records for batches in wanted.partitions]
        if not any(records and _takes_long(records) for records in sent):
            return self._append(wanted, places, request)
        work = partial(self._append, wanted.kept(), places, request)
        later = self._aside.answer_later(len(request.frame), work)
        if later is not None:
            return later
        if not trust.insists:
            trust.opens = False  # no time for samples
        busy = RequestTimedOut("too many batches wait to be opened")
        places = [busy if trust.opens or _opens(place) else place for place in places]
        return self._append(wanted, places, request)

    def _append_to_many(self, request: Request) -> Reply:
        frame, body_at, version = request.frame, request.body_at, request.api_version

        def read_and_append() -> Reply:
            try:
                wanted = read_produce_request(frame, body_at, version, MOST_PARTITIONS_ASIDE)
            except ManyPartitions:
                raise CloseConnection(
                    f"a Produce of more than {MOST_PARTITIONS_ASIDE} partitions"
                ) from None
            places = [self._place(wanted, batches, version) for batches in wanted.partitions]
            return self._append(wanted, places, request)

        later = self._aside.answer_later(len(frame), read_and_append)
        if later is None:
            raise CloseConnection("too many costly requests wait already")
        return later

    def _place(self, wanted: ProduceRequest, batches: PartitionBatches, version: int) -> _Place:
        topic, records = batches.topic, batches.records
        try:
            if wanted.acks not in (-1, 0, 1):
                raise InvalidRequiredAcks(f"acks={wanted.acks}; it is 0, 1 or -1 (all)")
            if wanted.transactional_id is not None:
                raise TransactionalIdAuthorizationFailed(
                    "this broker has no transactions; remove transactional.id"
                )
            by_id = topic.topic_id
            name = self._logs.name_of(UUID(bytes=by_id)) if by_id else topic.name
            if name in INTERNAL_TOPICS:
                raise InvalidTopic(f"cannot append to internal topic {name}")
            if not records:
                raise InvalidRecord("no record batch")
            if version < ZSTD_FROM and codec_id(records) == _ZSTD:
                raise UnsupportedCompressionType(f"zstd in Produce below version {ZSTD_FROM}")
            return self._logs.find(name, batches.partition)
        except KafkaError as error:
            return error.alone()

    def _append(self, wanted: ProduceRequest, places: list[_Place], request: Request) -> Reply:
        told, refused = [], []
        for place, batches in zip(places, wanted.partitions, strict=True):
            outcome = self._append_one(place, batches.records, request.client.trust)
            if isinstance(outcome, KafkaError):
                refused.append((batches, outcome))
            told.append(_told(batches.partition, outcome))
        if refused:
            _log_refused(refused, request.client)
        if wanted.acks == 0:
            if refused:  # no answer could say so; Kafka closes the connection, and so do we
                raise CloseConnection(f"acks=0 and refused: {refused[0][1]}")
            return Nothing()
        version = request.api_version
        response = produce_response(request.correlation_id, version, wanted.topics, told)
        return Now((response,))

    def _append_one(
        self, place: _Place, records: memoryview | None, trust: Trust
    ) -> Appended | KafkaError:
        if isinstance(place, KafkaError):
            return place
        assert records is not None, "a null has no place"
        try:
            appended = place.append(records, trust)
        except KafkaError as error:
            return error.alone()
        self._waiting.appended((place.topic, place.partition))
        return appended


def _opens(place: _Place) -> bool:
    return isinstance(place, PartitionLog) and place.settings.opens_batches


def _takes_long(records: memoryview) -> bool:
    """What is packed may be large once it is unpacked."""
    return len(records) > LARGE_BYTES or codec_id(records) != 0


def _told(partition: int, outcome: Appended | KafkaError) -> ProducedPartition:
    if isinstance(outcome, KafkaError):
        return ProducedPartition(
            partition,
            outcome.code,
            error_message=str(outcome),
            record_errors=outcome.record_errors,
        )
    base_offset, _, append_time_ms, log_start_offset = outcome
    return ProducedPartition(partition, 0, base_offset, append_time_ms, log_start_offset)


def _log_refused(refused: list[tuple[PartitionBatches, KafkaError]], client: Client) -> None:
    """One line a request, however many batches it has."""
    batches, error = refused[0]
    topic, partition = batches.topic, batches.partition
    more = f" (and {len(refused) - 1} more of this request)" if len(refused) > 1 else ""
    name = topic.name or topic.topic_id.hex()
    what = type(error).__name__
    _LOGGER.warning(
        "refused a batch of %s for %s-%d: %s: %s%s", client, name, partition, what, error, more
    )
