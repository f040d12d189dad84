"""A batch that is not let in by its header alone: its records are looked at, put right or refused.

What is put right, as Kafka's `LogValidator` does, with a new CRC:

- a largest timestamp that is not the largest: lookups by time and retention go by it;
- the flags that are the broker's (LogAppendTime, delete horizon);
- the codec, where the topic has its own; the batch may be larger then, so its size is asked again;
- offsets that do not count 0, 1, 2, ... Kafka renumbers them only when it repacks.

What is refused names the records that are to blame (KIP-467), so that a client can tell the others
that they were only in bad company. Bytes that are no records are answered UNKNOWN_SERVER_ERROR,
as by Kafka: CORRUPT_MESSAGE would have the Java client send them again and again.
"""

from __future__ import annotations

from zerocopy_lab.errors import (
    CorruptMessage,
    InvalidRecord,
    InvalidTimestamp,
    MessageTooLarge,
    RecordListTooLarge,
    TransactionalIdAuthorizationFailed,
    UnknownServerError,
)
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.records.batch import (
    DELETE_HORIZON_FLAG,
    LOG_APPEND_TIME_FLAG,
    NO_TIMESTAMP,
    BatchHeader,
    read_header,
)
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import read_records, rebuild_batch
from zerocopy_lab.records.restamping import restamp
from zerocopy_lab.records.survey import Survey, survey

_BROKERS_FLAGS = LOG_APPEND_TIME_FLAG | DELETE_HORIZON_FLAG


def admit_odd(
    batch: memoryview,
    header: BatchHeader,
    settings: TopicSettings,
    partition: str,
    now_ms: int,
    *,
    opens: bool,
    must_open: bool,
) -> tuple[memoryview, BatchHeader, bool]:
    """The batch as it is to be stored, its header, and whether its producer was wrong about it.

    `opens`: look at the records; `must_open`: and refuse what unpacks to more than we have room
    for. Raises as `batch_rules.admit`.
    """
    if header.is_transactional:
        raise TransactionalIdAuthorizationFailed("a transactional batch, and no transactions here")
    as_sent, found = header, None
    header = header._replace(attributes=header.attributes & ~_BROKERS_FLAGS)
    if opens:
        found = _survey(batch, header, must_open)
    if found is not None:
        _refuse_records(found, settings, partition, now_ms)
        header = header._replace(max_timestamp_ms=max(found.timestamps_ms))
    codec = _codec_to_store(settings, header)
    if found is not None and (codec != header.codec or not found.is_numbered):
        records = read_records(batch, in_order=False)
        numbered = [record._replace(offset=number) for number, record in enumerate(records)]
        batch = memoryview(bytearray(rebuild_batch(header, numbered, codec)))
        header = read_header(batch)
        if len(batch) > settings.max_message_bytes:
            raise MessageTooLarge(
                f"a batch for {partition} has {len(batch)} bytes once it is {codec.name.lower()}; "
                f"max.message.bytes is {settings.max_message_bytes}"
            )
    elif header != as_sent:
        restamp(batch, header.attributes, header.max_timestamp_ms)
        header = read_header(batch)
    if len(batch) > settings.segment_bytes:
        raise RecordListTooLarge(
            f"a batch of {len(batch)} bytes for {partition} does not fit a segment of "
            f"{settings.segment_bytes} bytes, see segment.bytes"
        )
    return batch, header, header.max_timestamp_ms != as_sent.max_timestamp_ms


def _survey(batch: memoryview, header: BatchHeader, must_open: bool) -> Survey | None:
    """What is inside; None when that is more than we have room for, and may stay unseen."""
    try:
        found = survey(batch, header)
    except CorruptMessage as error:
        raise UnknownServerError(f"no records behind the header of a batch: {error}") from None
    except MessageTooLarge:
        if must_open:
            raise
        return None
    if header.codec is not Codec.NONE and not found.is_numbered:
        raise UnknownServerError("the offsets of a compressed batch do not count 0, 1, 2, ...")
    return found


def _codec_to_store(settings: TopicSettings, header: BatchHeader) -> Codec:
    match settings.compression_type:
        case "producer":
            return header.codec
        case "uncompressed":
            return Codec.NONE
        case name:
            return Codec[name.upper()]


def _refuse_records(found: Survey, settings: TopicSettings, partition: str, now_ms: int) -> None:
    """Raise InvalidTimestamp or InvalidRecord, naming the records that the topic refuses."""
    reasons: dict[int, str] = {}
    if settings.message_timestamp_type == "CreateTime":
        earliest_ms = now_ms - settings.message_timestamp_before_max_ms
        latest_ms = now_ms + settings.message_timestamp_after_max_ms
        reasons = {
            index: f"timestamp {timestamp_ms}; the broker's clock says {now_ms}, "
            f"see message.timestamp.{'after' if timestamp_ms > now_ms else 'before'}.max.ms"
            for index, timestamp_ms in enumerate(found.timestamps_ms)
            if not earliest_ms <= timestamp_ms <= latest_ms and timestamp_ms != NO_TIMESTAMP
        }
    error_type = InvalidTimestamp if reasons else InvalidRecord
    if settings.compacts:
        reasons |= dict.fromkeys(found.keyless, "no key, and the topic is compacted")
    if reasons:
        first, why = min(reasons.items())
        raise error_type(
            f"{len(reasons)} of {len(found.timestamps_ms)} records of a batch for {partition}; "
            f"record {first}: {why}"
        ).of_records(dict(sorted(reasons.items())))
