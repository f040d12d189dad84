"""Produce: whole batches go from the receive buffer into the log.

    frame --> protocol.produce: views
          --> log.append(view): check, patch the offset, one write(2)
          --> consumers who wait

Two settings of a topic make the broker open every batch, `compression.type` and
`cleanup.policy=compact`; that is done aside, for it may take long.

acks says what the producer wants to hear, and here, with one replica, two of the three mean the
same:

    0        nothing; an error closes the connection, which is all that the producer can notice
    1, all   an answer once the batch is in the log (in the page cache; `flush.messages` and
             `flush.ms` say when it is forced to the disk)

Left out: transactions.
"""

from __future__ import annotations

import logging

from zerocopy_lab.broker.own_thread import Aside
from zerocopy_lab.broker.serving import ANY_LENGTH, serves
from zerocopy_lab.broker.waiting import WaitingFetches
from zerocopy_lab.errors import (
    CloseConnection,
    InvalidRecord,
    InvalidRequiredAcks,
    InvalidTopic,
    KafkaError,
    RequestTimedOut,
    TransactionalIdAuthorizationFailed,
)
from zerocopy_lab.log import Appended, LogDirectories
from zerocopy_lab.log.file_names import INTERNAL_TOPICS
from zerocopy_lab.protocol.framing import Client, Nothing, Now, Reply, Request
from zerocopy_lab.protocol.produce import (
    PartitionBatches,
    ProducedPartition,
    ProduceRequest,
    produce_response,
    read_produce_request,
)
from zerocopy_lab.protocol.versions import ApiKey

log = logging.getLogger(__name__)

#: Below are the message formats of before Kafka 0.11. They are advertised all the same, as by Kafka
#: 4: librdkafka before 2.11.1 stops compressing when version 0 is missing.
LOWEST_SERVED = 3

#: What one partition is told: what the log did, or why it did not.
_Outcome = tuple[PartitionBatches, Appended | KafkaError]


class ProduceHandler:
    """Answers Produce requests, whose payload is not copied."""

    def __init__(self, logs: LogDirectories, waiting: WaitingFetches, aside: Aside) -> None:
        self._logs = logs
        self._waiting = waiting
        self._aside = aside

    @serves(
        ApiKey.produce,
        0,
        9,
        "3: batches of version 2; 5: log start offset; 8: what is wrong with which record",
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
        wanted = read_produce_request(request.frame, request.body_at, request.api_version)
        if not self._opens_a_batch(wanted):
            return self._append_all(wanted, request)
        kept = wanted.kept()
        later = self._aside.answer_later(
            len(request.frame), lambda: self._append_all(kept, request)
        )
        if later is None:
            error = RequestTimedOut("too many batches wait to be opened")
            return _reply(wanted, request, [(batches, error) for batches in wanted.partitions])
        return later

    def _opens_a_batch(self, request: ProduceRequest) -> bool:
        logs = (self._logs.get(topic, partition) for topic, partition, _ in request.partitions)
        return any(log is not None and log.settings.opens_batches for log in logs)

    def _append_all(self, wanted: ProduceRequest, request: Request) -> Reply:
        outcomes = [(batches, self._append(wanted, batches)) for batches in wanted.partitions]
        self._log_errors(outcomes, request.client)
        return _reply(wanted, request, outcomes)

    def _append(self, request: ProduceRequest, batches: PartitionBatches) -> Appended | KafkaError:
        topic, partition, records = batches
        try:
            if request.acks not in (-1, 0, 1):
                raise InvalidRequiredAcks(f"acks={request.acks}; it is 0, 1 or -1 (all)")
            if request.transactional_id is not None:
                raise TransactionalIdAuthorizationFailed(
                    "this broker has no transactions; remove transactional.id"
                )
            if topic in INTERNAL_TOPICS:
                raise InvalidTopic(f"cannot append to internal topic {topic}")
            if not records:
                raise InvalidRecord("no record batch")
            appended = self._logs.find(topic, partition).append(records)
        except KafkaError as error:
            return error.alone()
        self._waiting.appended((topic, partition))
        return appended

    @staticmethod
    def _log_errors(outcomes: list[_Outcome], client: Client) -> None:
        for (topic, partition, _), outcome in outcomes:
            if isinstance(outcome, KafkaError):
                log.warning(
                    "refused a batch of %s for %s-%d: %s: %s",
                    client,
                    topic,
                    partition,
                    type(outcome).__name__,
                    outcome,
                )


def _reply(wanted: ProduceRequest, request: Request, outcomes: list[_Outcome]) -> Reply:
    if wanted.acks == 0:
        _close_on_error(outcomes)
        return Nothing()
    answers = [_answer(topic, partition, outcome) for (topic, partition, _), outcome in outcomes]
    return Now((produce_response(request.correlation_id, request.api_version, answers),))


def _close_on_error(outcomes: list[_Outcome]) -> None:
    """acks=0 has no answer that could carry an error; Kafka closes the connection, and so do we."""
    for (topic, partition, _), outcome in outcomes:
        if isinstance(outcome, KafkaError):
            raise CloseConnection(f"acks=0 and {topic}-{partition} refused: {outcome}")


def _answer(topic: str, partition: int, outcome: Appended | KafkaError) -> ProducedPartition:
    if isinstance(outcome, KafkaError):
        return ProducedPartition(topic, partition, outcome.code, error_message=str(outcome))
    return ProducedPartition(
        topic,
        partition,
        0,
        outcome.base_offset,
        outcome.append_time_ms,
        outcome.log_start_offset,
    )
