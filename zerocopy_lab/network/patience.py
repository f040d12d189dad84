"""Who takes too long, a connection that is idle or that is sent a request bit by bit, and who asks
without reading.

Looked at every second, so that no request has to.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

from zerocopy_lab.network.connection import Connection, State
from zerocopy_lab.network.quotas import Limits

_OURS_TO_ANSWER = State.WAITING, State.CROWDED


class Patience:
    """With one connection."""

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._active_at_s = self._part_since_s = 0.0
        self._part_of_frame = -1

    def look(self, now_s: float) -> None:
        """End the connection if it has been idle, or in the middle of a request, for too long."""
        connection, inbox = self._connection, self._connection.inbox
        if connection.was_active or connection.state in _OURS_TO_ANSWER:
            connection.was_active, self._active_at_s = False, now_s
        elif _is_over(now_s - self._active_at_s, self._limits.connections_max_idle_ms):
            idle_s = now_s - self._active_at_s
            _cut_off(connection, "connections.max.idle.ms", f"idle for {idle_s:.0f} s")
            return
        if not connection.is_amid_a_request:
            self._part_of_frame = -1
        elif self._part_of_frame != inbox.frames:
            self._part_of_frame, self._part_since_s = inbox.frames, now_s
        elif _is_over(now_s - self._part_since_s, self._limits.request_arrival_max_ms):
            _cut_off(connection, "request.arrival.max.ms", "a request did not arrive in time")


def _cut_off(connection: Connection, setting: str, why: str) -> None:
    connection.cut_off = setting
    connection.close(f"{why} ({setting})")


def _is_over(passed_s: float, limit_ms: int) -> bool:
    return limit_ms >= 0 and passed_s * 1000 > limit_ms


def drop_unread(connections: Iterable[Connection], most_bytes: int) -> None:
    """Answers wait in memory for who does not read them: those of the largest go, until no more
    than `most_bytes` are left.
    """
    waiting = [(connection.outbox.memory_bytes, connection) for connection in connections]
    excess_bytes = sum(length for length, _ in waiting) - most_bytes
    for length, connection in sorted(waiting, key=itemgetter(0), reverse=True):
        if excess_bytes <= 0:
            break
        _cut_off(connection, "queued.max.response.bytes", "its answers wait to be read")
        excess_bytes -= length
