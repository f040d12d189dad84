"""A producer of one batch at a time: no linger, no retries; acks as you say."""

from __future__ import annotations

from datetime import timedelta

from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey

VERSION = 9


def produce_frame(
    wire: Frames, topic: str, partition: int, batch: bytes, acks: int = -1, version: int = VERSION
) -> bytes:
    """The bytes of a Produce request that carries `batch` (as `records.build_batch` makes it)."""
    types = messages.types_of(ApiKey.produce, version, "request")
    partition_data = types.PartitionProduceData(index=partition, records=batch)
    return wire.encode(
        ApiKey.produce,
        version,
        transactional_id=None,
        acks=acks,
        timeout=timedelta(seconds=30),
        topic_data=(types.TopicProduceData(name=topic, partition_data=(partition_data,)),),
    )


def produce(wire: Wire, topic: str, partition: int, batch: bytes) -> tuple[int, int]:
    """Append `batch` and wait: Kafka's error code (0 is fine) and the base offset."""
    wire.send_frame(produce_frame(wire, topic, partition, batch))
    _, response = messages.decode_response(ApiKey.produce, VERSION, wire.receive_frame())
    answer = response.responses[0].partition_responses[0]
    return int(answer.error_code), answer.base_offset
