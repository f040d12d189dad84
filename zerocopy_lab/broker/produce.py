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
from zerocopy_lab.broker.waiting import WaitingFetches
from zerocopy_lab.errors import (
    CloseConnection,
    InvalidRecord,
    InvalidRequiredAcks,
    KafkaError,
    RequestTimedOut,
    TransactionalIdAuthorizationFailed,
)
from zerocopy_lab.log import Appended, LogDirectories
from zerocopy_lab.protocol.exchange import Client, Reply
from zerocopy_lab.protocol.produce import (
    PartitionBatches,
    ProducedPartition,
    ProduceRequest,
    produce_response,
    read_produce_request,
)
from zerocopy_lab.protocol.requests import RequestHeader
from zerocopy_lab.protocol.versions import LOWEST_PRODUCE_SERVED

log = logging.getLogger(__name__)

#: What one partition is told: what the log did, or why it did not.
_Outcome = tuple[PartitionBatches, Appended | KafkaError]


class ProduceHandler:
    """Answers Produce requests; a frame handler, because its payload must not be copied."""

    def __init__(self, logs: LogDirectories, waiting: WaitingFetches, aside: Aside) -> None:
        self._logs = logs
        self._waiting = waiting
        self._aside = aside

    def __call__(self, frame: memoryview, header: RequestHeader, client: Client) -> Reply:
        """Append everything, then answer (acks 1 and all) or not (acks 0)."""
        if header.api_version < LOWEST_PRODUCE_SERVED:
            raise CloseConnection(
                f"Produce version {header.api_version} carries a message format of before Kafka "
                f"0.11; this broker serves {LOWEST_PRODUCE_SERVED} and above"
            )
        request = read_produce_request(frame, header.body_at, header.api_version)
        if not self._opens_a_batch(request):
            return self._append_all(request, header, client)
        later = self._aside.answer_later(
            frame,
            lambda copy: self._append_all(
                read_produce_request(copy, header.body_at, header.api_version), header, client
            ),
        )
        if later is None:
            return self.refuse(frame, header, RequestTimedOut("too many batches wait to be opened"))
        return later

    def refuse(self, frame: memoryview, header: RequestHeader, error: KafkaError) -> Reply:
        """Append nothing, and say `error` for every partition."""
        request = read_produce_request(frame, header.body_at, header.api_version)
        outcomes: list[_Outcome] = [(batches, error) for batches in request.partitions]
        return _reply(request, header, outcomes)

    def _opens_a_batch(self, request: ProduceRequest) -> bool:
        logs = (self._logs.get(topic, partition) for topic, partition, _ in request.partitions)
        return any(log is not None and log.settings.opens_batches for log in logs)

    def _append_all(self, request: ProduceRequest, header: RequestHeader, client: Client) -> Reply:
        outcomes = [(batches, self._append(request, batches)) for batches in request.partitions]
        self._log_errors(outcomes, client)
        return _reply(request, header, outcomes)

    def _append(self, request: ProduceRequest, batches: PartitionBatches) -> Appended | KafkaError:
        topic, partition, records = batches
        try:
            if request.acks not in (-1, 0, 1):
                raise InvalidRequiredAcks(f"acks={request.acks}; it is 0, 1 or -1 (all)")
            if request.transactional_id is not None:
                raise TransactionalIdAuthorizationFailed(
                    "this broker has no transactions; remove transactional.id"
                )
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


def _reply(request: ProduceRequest, header: RequestHeader, outcomes: list[_Outcome]) -> Reply:
    if request.acks == 0:
        _close_on_error(outcomes)
        return None
    answers = [_answer(topic, partition, outcome) for (topic, partition, _), outcome in outcomes]
    return [produce_response(header.correlation_id, header.api_version, answers)]


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
