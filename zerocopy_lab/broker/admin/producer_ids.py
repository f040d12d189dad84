"""InitProducerId: a number for every idempotent producer, never given twice.

Kafka's controller hands out blocks of 1,000 ids and records each block before the first id of it is
used (`ProducerIdsBlock`). So does this broker: in every log directory a file holds the first id
that no earlier run can have given out. None of them is needed: a block begins behind what any of
the files says *and* behind every id that the logs know, since an id that a log knows would have its
new owner's first batch taken for a duplicate.

Left out: transactional producers, whose id would have to survive the producer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

from zerocopy_lab.broker.serving import ASIDE, answers
from zerocopy_lab.errors import KafkaError, KafkaStorageError, TransactionalIdAuthorizationFailed
from zerocopy_lab.log import PartitionLog
from zerocopy_lab.log.atomic_file import replace_file
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

_LOGGER = logging.getLogger(__name__)
FILE = "producer-ids"
BLOCK = 1000
# Ids are given one after the other, so one from here on was made up by a client; none is given
# that high, and nobody can use them up by writing with the highest there is.
_MADE_UP = 1 << 62


class ProducerIds:
    """Gives out producer ids; the files that remember the next block are in the log directories."""

    def __init__(self, logs: LogDirectories) -> None:
        """Raises OSError."""
        self._logs = logs
        self._lock = Lock()
        self._next = self._block_end = 0
        self._written_in: tuple[Path, ...] = ()
        for path in logs.directories:
            if _read(path / FILE) is None:  # a Kafka's directory, or the file is lost
                self._next = max(self._next, 1 + self._highest_written_in(path))
        if self._next:
            self._begin_block()  # that need not be found again at every start

    @answers(
        ApiKey.init_producer_id, 0, 5, "3: the producer's last id and epoch", large_bytes=ASIDE
    )
    def init_producer_id(self, request: Any, context: Request) -> messages.Entity:
        """A new id with epoch 0; a producer that lost track of its sequence simply gets another
        one.
        """
        if request.transactional_id is not None:
            raise TransactionalIdAuthorizationFailed(
                "this broker has no transactions; remove transactional.id"
            )
        response_type = messages.response_type(ApiKey.init_producer_id, context.api_version)
        return messages.make(
            response_type,
            error_code=messages.error_code(0),
            producer_id=self.take(),
            producer_epoch=0,
        )

    def take(self) -> int:
        """An id that nobody has. Raises KafkaStorageError when no directory can record a new
        block, or when one cannot be asked.
        """
        with self._lock:
            # A directory that was not there before may know ids of this block.
            if self._next >= self._block_end or self._logs.directories != self._written_in:
                self._begin_block()
            self._next += 1
            return self._next - 1

    def _begin_block(self) -> None:
        directories = self._logs.directories
        first = max(self._next, *self._first_free())
        written = []
        why = "every log directory is offline"
        for path in directories:
            try:
                replace_file(path / FILE, b"%d\n" % (first + BLOCK))
                written.append(path)
            except OSError as error:
                why = str(error)
                self._logs.failed(path, error)
        if not written:  # one is enough: where it could not be written the logs know what was used
            raise KafkaStorageError(f"cannot record the next producer ids: {why}")
        self._next, self._block_end, self._written_in = first, first + BLOCK, directories

    def _first_free(self) -> Iterator[int]:
        """What each of the files and each of the logs says."""
        yield 0
        for path in self._logs.directories:
            try:
                yield _read(path / FILE) or 0
            except OSError as error:  # nor may it be passed over: it may know of more than the logs
                self._logs.failed(path, error)
                raise KafkaStorageError(f"cannot read the next producer ids: {error}") from error
        for log in self._logs.logs():
            yield 1 + max(filter(_was_given, log.producer_ids()), default=-1)

    def _highest_written_in(self, directory: Path) -> int:
        """Of every batch there, also of producers that have long been forgotten."""
        inside = [log for log in self._logs.logs() if log.directory.parent == directory]
        if any(log.log_end_offset for log in inside):
            _LOGGER.info("%s is missing: looking for producer ids in every batch", directory / FILE)
        return max(map(_highest_in, inside), default=-1)


def _highest_in(log: PartitionLog) -> int:
    highest = -1
    try:
        for header in log.headers():
            if highest < header.producer_id < _MADE_UP:
                highest = header.producer_id
    except KafkaError as error:  # the rest of it cannot be read, so nobody can be told of it either
        _LOGGER.warning("%s", error)
    return highest


def _was_given(producer_id: int) -> bool:
    return producer_id < _MADE_UP


def _read(path: Path) -> int | None:
    """The first free id, None when the file is missing or damaged. Raises OSError."""
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        _LOGGER.warning("%s should hold one number, the next free producer id: ignored", path)
        return None
