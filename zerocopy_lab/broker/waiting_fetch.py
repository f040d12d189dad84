"""One fetch that waits, until an append, the clock or its client ends that."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from zerocopy_lab.broker.timers import TimerHandle, Timers
from zerocopy_lab.protocol.framing import Now
from zerocopy_lab.protocol.later import Later

PartitionKey = tuple[str, int]

#: To look again at one more partition takes microseconds, and whoever appends to one of them has to
#: wait for it: beyond so many it is done elsewhere, once for all appends until then.
MANY_PARTITIONS = 500

#: Such a fetch rests so many times as long as it looked: the interpreter is not its alone.
REST_PER_LOOK = 10


class WaitingFetch:
    """It never holds what it found, nor the logs where it looks: a file that is deleted meanwhile
    is gone.
    """

    def __init__(
        self,
        partitions: Collection[PartitionKey],
        if_enough: Callable[[], Now | None],
        whatever: Callable[[], Now],
        elsewhere: Callable[[Callable[[], None]], object],
        on_end: Callable[[WaitingFetch], None],
    ) -> None:
        self.partitions = partitions
        self._if_enough = if_enough
        self._whatever = whatever
        self._elsewhere = elsewhere
        self._on_end = on_end
        self._is_large = len(partitions) > MANY_PARTITIONS
        self._will_look = False
        self._rest_s = 0.0
        self._later = Later(on_abandon=self._end)
        self._timers: Timers | None = None
        self._timer: TimerHandle | None = None

    def begin(self, timers: Timers, max_wait_s: float) -> Later:
        """Wait from now on, for so many seconds at most; appends are told of already."""
        self._timers = timers
        self._timer = timers.call_later(max_wait_s, self._give_up)
        # Another thread may have appended after the caller looked and before it was told of
        # appends; or it has answered before there was a timer to cancel.
        self._look()
        if self._later.done:
            self._timer.cancel()
        return self._later

    def look_soon(self) -> None:
        """Something was appended."""
        if not self._is_large:
            self._look()
        elif not self._will_look and self._timers is not None:
            self._will_look = True
            self._timers.call_later(self._rest_s, self._look_elsewhere)

    def _look_elsewhere(self) -> None:
        self._elsewhere(self._look)

    def _look(self) -> None:
        self._will_look = False  # first: an append from now on may be one that this look misses
        began_s = time.monotonic()
        self._answer(self._if_enough)
        self._rest_s = REST_PER_LOOK * (time.monotonic() - began_s)

    def _give_up(self) -> None:
        if self._is_large:
            self._elsewhere(lambda: self._answer(self._whatever))
        else:
            self._answer(self._whatever)

    def _answer(self, read: Callable[[], Now | None]) -> None:
        """Hand over what `read` finds, unless that is nothing or somebody was faster."""
        if not self._later.done:
            found = read()
            if found is not None and self._later.complete(found):
                self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._on_end(self)
