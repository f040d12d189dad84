"""What a log gets in a round of housekeeping: old files go, old segments go, what is due is forced
to disk.

| what | when it is forced to disk |
|---|---|
| segments that are no longer active | at the next round, with their indexes |
| the active segment | when `flush.ms` have gone by since the last time; by default never |

A flush by `flush.messages` belongs to the append that it holds up (partition_log.py), and so does
the reason why a failed one is the end (atomic_file.py). Kafka: `LogManager.flushDirtyLogs`,
`UnifiedLog.flush`.
"""

from __future__ import annotations

from zerocopy_lab.log.partition_log import PartitionLog
from zerocopy_lab.log.upkeep.retention import retain


def look_after(log: PartitionLog, now_ms: int) -> None:
    """One round for one log. Raises KafkaStorageError."""
    if log.is_empty:
        return  # most of ten thousand partitions
    with log.storage_errors("look after"):
        log.remove_condemned(now_ms)
        retain(log, now_ms)  # before anything that needs room on the disk: this makes room
        flush_what_is_due(log, now_ms)
    log.expire_producers(now_ms)


def flush_what_is_due(log: PartitionLog, now_ms: int) -> None:
    """By `flush.ms`; and always the segments that are no longer active. Raises OSError."""
    is_due = now_ms - log.last_flush_ms >= log.settings.flush_ms
    active_start = log.segments[-1].base_offset
    if is_due and log.recovery_point < log.log_end_offset:
        log.flush_up_to(log.log_end_offset)
        log.save_for_recovery()
    elif log.recovery_point < active_start:
        log.flush_up_to(active_start)
