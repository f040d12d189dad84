"""Other attributes or another time in a batch's header, and so a new CRC: what only a rare setting,
or a repacked batch, needs. Offsets are patched without (`batch.assign_offsets`).
"""

from __future__ import annotations

import struct

from crc32c import crc32c

from zerocopy_lab.records.batch import CRC_START, LOG_APPEND_TIME_FLAG


def stamp_append_time(view: memoryview, now_ms: int) -> None:
    """`message.timestamp.type=LogAppendTime`: the broker's clock for the whole batch, and a new
    CRC.

    The records' own deltas stay: whoever reads them takes maxTimestamp for all of them. This is the
    one setting besides recompression that makes a broker touch every byte of a batch, for the CRC.
    """
    (attributes,) = struct.unpack_from(">h", view, 21)
    restamp(view, attributes | LOG_APPEND_TIME_FLAG, now_ms)


def restamp(view: memoryview, attributes: int, max_timestamp_ms: int) -> None:
    """Other attributes and another largest timestamp for a batch in a writable view; a new CRC."""
    struct.pack_into(">h", view, 21, attributes)
    struct.pack_into(">q", view, 35, max_timestamp_ms)
    struct.pack_into(">I", view, 17, crc32c(view[CRC_START:]))
