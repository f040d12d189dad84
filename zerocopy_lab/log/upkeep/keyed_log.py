"""A small table that survives, kept in a partition's log: each change is a record, and the last one
of a key counts.

Kafka keeps the committed offsets of consumer groups like this. Reading the whole log gives the
table back; compaction removes what was overwritten, so that the log stays about as large as the
table.

Bytes come from the broker itself, go to the log as one batch for each change, and are read again
when the broker starts. Left out: nothing is compressed, a few dozen bytes would not gain from it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence

from zerocopy_lab.errors import KafkaError
from zerocopy_lab.log.partition_log import PartitionLog
from zerocopy_lab.records.batch import iterate_headers
from zerocopy_lab.records.record import Record, build_batch, read_records

_LOGGER = logging.getLogger(__name__)

_READ_BYTES = 1 << 20

Entry = tuple[bytes, bytes | None]  # key and value; no value: the key is no more


class KeyedLog:
    """Keys and values in `log`, whose cleanup.policy should be compact."""

    def __init__(self, log: PartitionLog) -> None:
        self._log = log
        self._name = log.name

    def append(self, entries: Sequence[Entry]) -> None:
        """Write the entries as one batch: after a crash all of them are there, or none.

        Raises KafkaError when the log refuses the batch, MessageTooLarge for one.
        """
        now_ms = time.time_ns() // 1_000_000
        records = [Record(i, now_ms, key, value) for i, (key, value) in enumerate(entries)]
        self._log.append(memoryview(bytearray(build_batch(records))))

    def replay(self) -> Iterator[Entry]:
        """Every entry that is still in the log, in the order of writing.

        What is not one of ours costs itself: a record without a key, a batch whose records cannot
        be read. Behind bytes that are no batch nothing can be found any more. Each is a line in the
        log.
        """
        offset = self._log.log_start_offset
        try:
            while (piece := self._log.read(offset, _READ_BYTES)) is not None:
                chunk = memoryview(os.pread(piece.file.fd, piece.length, piece.position))
                for position, header in iterate_headers(chunk, may_be_cut=True):
                    yield from self._entries(chunk[position : position + header.total_bytes])
                    offset = header.last_offset + 1
        except (KafkaError, OSError) as cause:
            _LOGGER.error(
                "%s: nothing from offset %d on can be read: %s", self._name, offset, cause
            )

    def _entries(self, batch: memoryview) -> Iterator[Entry]:
        try:
            records = list(read_records(batch))
        except KafkaError as cause:
            _LOGGER.warning("%s: a batch is passed over: %s", self._name, cause)
            return
        for record in records:
            if record.key is not None:
                yield record.key, record.value
