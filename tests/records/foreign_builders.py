"""The batch builders of two other clients, behind one call: what they write we must read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import aiokafka.record.default_records as aiokafka_records
import kafka.record.default_records as kafka_python_records

from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record


def aiokafka_batch(records: Sequence[Record], codec: Codec, producer_id: int = -1) -> bytes:
    builder = aiokafka_records.DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=producer_id,
        producer_epoch=-1 if producer_id < 0 else 3,
        base_sequence=-1 if producer_id < 0 else 70,
        batch_size=1 << 30,
    )
    return _fill(builder, records)


def kafka_python_batch(records: Sequence[Record], codec: Codec, producer_id: int = -1) -> bytes:
    builder = kafka_python_records.DefaultRecordBatchBuilder(
        2,
        codec,
        is_transactional=False,
        producer_id=producer_id,
        producer_epoch=-1 if producer_id < 0 else 3,
        base_sequence=-1 if producer_id < 0 else 70,
        batch_size=1 << 30,
    )
    return _fill(builder, records)


def _fill(builder, records: Sequence[Record]) -> bytes:  # type: ignore[no-untyped-def]
    for record in records:
        added = builder.append(
            record.offset, record.timestamp_ms, record.key, record.value, list(record.headers)
        )
        assert added is not None
    return bytes(builder.build())


Builder = Callable[..., bytes]
# kafka-python writes snappy only with one more library, which nothing else here needs.
BUILDERS: list[tuple[str, Builder, Codec]] = [
    *(("aiokafka", aiokafka_batch, codec) for codec in Codec),
    *(
        ("kafka-python", kafka_python_batch, codec)
        for codec in (Codec.NONE, Codec.GZIP, Codec.LZ4, Codec.ZSTD)
    ),
]
BUILDER_IDS = [f"{name}-{codec.name.lower()}" for name, _, codec in BUILDERS]
