"""A `log.dir` written byte by byte, without the broker's code for its files.

Tests damage it at will. flights-0 has the segments 0 and 6, each of three batches of two records;
offsets 0 to 11.
"""

from __future__ import annotations

import struct
from pathlib import Path

from crc32c import crc32c

from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch

SEGMENTS = (0, 6)
BATCH_POSITIONS: dict[int, list[int]] = {}  # of each segment, filled below


def batch_at(offset: int, codec: Codec = Codec.NONE) -> bytes:
    """The batch of the two records from an offset on, as a broker stored it."""
    epoch = 0 if offset < 6 else 3
    records = [
        Record(offset + i, 1_000 * (offset + i), b"key", b"value %d" % (offset + i)) for i in (0, 1)
    ]
    return build_batch(records, base_offset=offset, leader_epoch=epoch, codec=codec)


for _segment in SEGMENTS:
    _batches = [batch_at(_segment + delta) for delta in (0, 2, 4)]
    BATCH_POSITIONS[_segment] = [sum(map(len, _batches[:index])) for index in range(3)]


def write_log_dir(log_dir: Path) -> Path:
    """Writes the directory and returns the partition's."""
    partition = log_dir / "flights-0"
    partition.mkdir(parents=True)
    (log_dir / "meta.properties").write_text(
        "node.id=1\ndirectory.id=8q-OPXP8xOWSnHpYj3L24w\nversion=1\n"
        "cluster.id=GXGM8ZOZQB2znMb0btzQBg\n"
    )
    for name in ("recovery-point", "replication"):
        (log_dir / f"{name}-offset-checkpoint").write_text("0\n1\nflights 0 12\n")
    (log_dir / "log-start-offset-checkpoint").write_text("0\n0\n")
    (log_dir / "cleaner-offset-checkpoint").write_text("")  # how Kafka creates it
    for base_offset in SEGMENTS:
        write_segment(partition, base_offset)
    (partition / "leader-epoch-checkpoint").write_text("0\n2\n0 0\n3 6\n")
    (partition / "partition.metadata").write_text("version: 0\ntopic_id: jiTUXyp0R2OT5swQgO-Dgw")
    producers = struct.pack(">i", 1) + struct.pack(">qhiqiqiq", 7, 0, 1, 11, 1, 11_000, -1, -1)
    snapshot = struct.pack(">hI", 1, crc32c(producers)) + producers
    (partition / f"{12:020d}.snapshot").write_bytes(snapshot)
    return partition


def write_segment(partition: Path, base_offset: int) -> None:
    """One segment with an entry in both indexes for its second and its third batch."""
    name = f"{base_offset:020d}"
    positions = BATCH_POSITIONS[base_offset]
    log = b"".join(batch_at(base_offset + delta) for delta in (0, 2, 4))
    (partition / f"{name}.log").write_bytes(log)
    entries = [struct.pack(">ii", 3, positions[1]), struct.pack(">ii", 5, positions[2])]
    (partition / f"{name}.index").write_bytes(b"".join(entries) + bytes(80))  # preallocated
    times = [struct.pack(">qi", 1_000 * (base_offset + last), last) for last in (3, 5)]
    (partition / f"{name}.timeindex").write_bytes(b"".join(times))


def patch(path: Path, position: int, octets: bytes) -> None:
    """Overwrites bytes in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[position : position + len(octets)] = octets
    path.write_bytes(content)
