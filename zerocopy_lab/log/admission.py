"""What a batch must be to get into a log: whole, legal, and not too large for its topic.

On the usual path only the header is read and the CRC computed. The records are opened for the two
settings that cannot do without: a compacted topic needs a key in every record, and a topic with a
codec of its own repacks what comes in another one. Kafka: `LogValidator`.

Left out: `message.timestamp.before.max.ms` and `.after.max.ms`, Kafka's limits on how wrong a
producer's clock may be.
"""

from __future__ import annotations

from zerocopy_lab.errors import InvalidRecord, MessageTooLarge, RecordListTooLarge
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.records.batch import BatchHeader, check_batch, read_header
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import read_records, rebuild_batch


def admit(
    batch: memoryview, settings: TopicSettings, partition: str
) -> tuple[memoryview, BatchHeader]:
    """The batch as it is to be stored, usually the very view that came in, and its header.

    Raises CorruptMessage, InvalidRecord, UnsupportedForMessageFormat, MessageTooLarge,
    RecordListTooLarge.
    """
    header = check_batch(batch)
    if len(batch) > settings.max_message_bytes:
        raise MessageTooLarge(
            f"a batch of {len(batch)} bytes for {partition}; "
            f"max.message.bytes is {settings.max_message_bytes}"
        )
    if settings.compacts:
        _check_keys(batch, partition)
    if settings.compression_type != "producer":
        batch, header = _repacked(batch, header, settings.compression_type)
    if len(batch) > settings.segment_bytes:
        raise RecordListTooLarge(
            f"a batch of {len(batch)} bytes for {partition} does not fit a segment of "
            f"{settings.segment_bytes} bytes, see segment.bytes"
        )
    return batch, header


def _repacked(
    batch: memoryview, header: BatchHeader, compression_type: str
) -> tuple[memoryview, BatchHeader]:
    """The batch in the topic's own codec. What producers spare a broker by agreeing with it."""
    name = compression_type.upper()
    codec = Codec.NONE if name == "UNCOMPRESSED" else Codec[name]
    if header.codec == codec:
        return batch, header
    batch = memoryview(bytearray(rebuild_batch(header, list(read_records(batch)), codec)))
    return batch, read_header(batch)


def _check_keys(batch: memoryview, partition: str) -> None:
    for record in read_records(batch):
        if record.key is None:
            raise InvalidRecord(
                f"{partition} is compacted, so every record needs a key; "
                f"the record at {record.offset} of the batch has none"
            )
