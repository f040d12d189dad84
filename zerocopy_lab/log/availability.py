"""Whether a partition's log may be used, and what its clients hear when it may not.

    in use ──a failing disk, or the topic is deleted──▶ offline, for good

A log that goes offline waits for nobody: whoever holds its lock may be waiting for the broken disk.
So everybody asks here again when he has got the lock, and looks here first when the operating
system reports an error: a deleted partition's files have been renamed, and no disk has failed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from zerocopy_lab.errors import KafkaError, KafkaStorageError
from zerocopy_lab.log.atomic_file import passes

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Availability:
    """Of one partition; `name` and `directory` are for messages. `on_failure` hears of every error
    of the disk that does not pass by itself.
    """

    __slots__ = ("_directory", "_name", "_on_failure", "why_not")

    def __init__(self, name: str, directory: Path, on_failure: Callable[[OSError], None]) -> None:
        self._name = name
        self._directory = directory
        self._on_failure = on_failure
        self.why_not: KafkaError | None = None  # what everybody is told since it went offline

    def go_offline(self, why: KafkaError) -> None:
        """From now on everybody is told this."""
        self.why_not = why

    def check(self) -> None:
        """Raises the error that the log went offline with, if it did."""
        why_not = self.why_not
        if why_not is not None:
            raise type(why_not)(*why_not.args)  # a new one: exceptions collect tracebacks

    @contextmanager
    def storage_errors(self, action: str) -> Iterator[None]:
        """Within it, what the operating system says becomes what a client may hear:
        KafkaStorageError. What was found in a log that is offline by then is worth nothing.
        """
        self.check()
        try:
            yield
        except OSError as error:
            self.failed(error, action)
        self.check()

    def failed(self, error: OSError, action: str) -> NoReturn:
        """An action came to nothing. Raises KafkaStorageError, or why the log is offline."""
        self.check()
        what = f"cannot {action} {self._name} in {self._directory}: {error}"
        if passes(error):
            remedy = "free some space" if error.errno in _FULL else "this may be over soon"
            raise KafkaStorageError(f"{what}; {remedy}, then it goes on") from error
        self._on_failure(error)
        raise KafkaStorageError(what) from error
