"""The `.snapshot` files of a partition: what was known of its producers at certain offsets.

One for every segment, by its base offset, so that after a crash the producers can be known again
from a snapshot and the batches behind it; and the latest, where the log was when it was last
flushed or closed. Their content is `producer_state.py`'s. Kafka: `ProducerStateManager`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zerocopy_lab.log.atomic_file import replace_file
from zerocopy_lab.log.file_names import SNAPSHOT_SUFFIX, segment_file
from zerocopy_lab.log.producer_state import ProducerStates
from zerocopy_lab.log.segment import Segment


class ProducerSnapshots:
    """Written under the partition's lock. `latest_offset` is that of the newest file."""

    __slots__ = ("_directory", "_latest_offset")

    def __init__(self, directory: Path, latest_offset: int) -> None:
        self._directory = directory
        self._latest_offset = latest_offset

    def save(self, producers: ProducerStates, offset: int, segments: Iterable[Segment]) -> None:
        """Write what is known at `offset`. The one before goes, unless it is one of the segments'.
        Raises OSError.
        """
        if offset == self._latest_offset:
            return
        # Not forced to disk: it has a CRC, and an older one with the batches behind it will do.
        replace_file(self._path(offset), producers.to_snapshot(), sync=False)
        if all(segment.base_offset != self._latest_offset for segment in segments):
            self._path(self._latest_offset).unlink(missing_ok=True)
        self._latest_offset = offset

    def drop(self, base_offset: int) -> None:
        """A segment was deleted; its snapshot goes, if it is not the latest. Raises OSError."""
        if base_offset != self._latest_offset:
            self._path(base_offset).unlink(missing_ok=True)

    def _path(self, offset: int) -> Path:
        return self._directory / segment_file(offset, SNAPSHOT_SUFFIX)
