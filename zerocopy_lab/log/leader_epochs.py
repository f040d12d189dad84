"""`leader-epoch-checkpoint`: which leader wrote which part of a partition.

Every leader of a partition has an epoch, one higher than its predecessor's, and stamps it on every
batch. The file holds the first offset of each epoch. A follower or a consumer whose last record is
of epoch e asks where e ended: if that is before its own position, records were lost in between and
it must go back (KIP-101, KIP-320).

With one broker there is one leader, but it may still come back with less than it had: after a
power cut the log may be shorter. So an unclean start begins a new epoch here, and clients that ask
can tell.
"""

from __future__ import annotations

import logging
from pathlib import Path

from zerocopy_lab.log.checkpoints import read_lines, write_lines
from zerocopy_lab.log.file_names import LEADER_EPOCH_FILE

_LOGGER = logging.getLogger(__name__)


class LeaderEpochs:
    """(epoch, start offset) of every leader, ascending in both."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / LEADER_EPOCH_FILE
        self.entries: list[tuple[int, int]] = []

    @classmethod
    def load(cls, directory: Path) -> LeaderEpochs:
        """What the file says; nothing when it is missing or damaged (which is logged). Raises
        OSError.
        """
        epochs = cls(directory)
        try:
            lines = read_lines(epochs.path, fields_per_line=2)
        except ValueError as error:
            _LOGGER.warning("%s; its epochs are taken from the batches", error)
            return epochs
        for epoch, start_offset in lines:
            epochs._note(int(epoch), int(start_offset))
        return epochs

    @property
    def latest(self) -> int:
        """The current leader's epoch, -1 before the first."""
        return self.entries[-1][0] if self.entries else -1

    def begin(self, epoch: int, start_offset: int) -> None:
        """A leader begins to write at this offset. Writes the file. Raises OSError."""
        before = list(self.entries)
        if self._note(epoch, start_offset):
            try:
                self.save()
            except OSError:
                self.entries = before
                raise

    def note_batch(self, epoch: int, base_offset: int) -> None:
        """Recovery has seen a batch: remember its epoch if it is a newer one."""
        self._note(epoch, base_offset)

    def end_offset(
        self, epoch: int, current_epoch: int, log_end_offset: int
    ) -> tuple[int, int] | None:
        """(largest epoch <= the asked one, where it ended); None for one that has not begun.

        The current leader's begins at the log end until it has written something. What ended before
        all that is known has ended where that begins. Kafka: `LeaderEpochFileCache.endOffsetFor`.
        """
        if not 0 <= epoch <= current_epoch:
            return None
        entries = self.entries
        if current_epoch != self.latest:
            entries = [*entries, (current_epoch, log_end_offset)]
        known = [entry for entry in entries if entry[0] <= epoch]
        later = entries[len(known) :]
        end = later[0][1] if later else log_end_offset
        return known[-1][0] if known else epoch, end

    def at(self, offset: int) -> int:
        """The epoch whose leader wrote the record at `offset`, -1 where none is known."""
        begun = [epoch for epoch, start_offset in self.entries if start_offset <= offset]
        return begun[-1] if begun else -1

    def cut(self, log_start_offset: int, log_end_offset: int) -> None:
        """Forget what lies outside the log: epochs that began behind its end, or ended before its
        start. Raises OSError.
        """
        # In an empty log start and end are the same: its last epoch stays, epochs never go back.
        last_start = max(log_end_offset - 1, log_start_offset)
        entries = [entry for entry in self.entries if entry[1] <= last_start]
        begun = [entry for entry in entries if entry[1] <= log_start_offset]
        if begun:
            entries[: len(begun)] = [(begun[-1][0], log_start_offset)]
        if entries != self.entries:
            self.entries = entries
            self.save()

    def save(self) -> None:
        """Write the file. Raises OSError."""
        write_lines(self.path, [f"{epoch} {start_offset}" for epoch, start_offset in self.entries])

    def _note(self, epoch: int, start_offset: int) -> bool:
        if epoch <= self.latest:
            return False
        if self.entries and self.entries[-1][1] >= start_offset:
            self.entries.pop()  # the last leader never wrote anything
        self.entries.append((epoch, start_offset))
        return True
