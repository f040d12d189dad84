"""What clients may have of this process, and how many of them there may be.

| setting (Kafka's name where it has one) | here | what happens beyond it |
|---|---|---|
| max.connections | 10,000, or what descriptors there are for | the new connection is closed |
| max.connections.per.ip | no limit | the new connection is closed |
| connections.max.idle.ms | 10 min | the connection is closed |
| socket.request.max.bytes | 100 MiB | the connection is closed before anything is received |
| sasl.server.max.receive.size | 512 KiB | the same, for who has not authenticated yet |
| queued.max.request.bytes | 256 MiB | large requests wait until others are handled |
| queued.max.response.bytes (not Kafka's) | 256 MiB | those who leave the most unread are cut off |
| request.arrival.max.ms (not Kafka's) | 1 min | a slow sender is cut off (TLS handshakes, too) |

Kafka has no limit for some of these by default; a process that shall survive a hostile client needs
one. There is one request and one response per connection at a time, so nothing queues up behind
them. Records cost no memory, they wait in their file; what other responses cost is looked at once a
second.
"""

from __future__ import annotations

import logging
import resource
import sys
from collections import Counter
from dataclasses import dataclass, replace
from threading import Lock

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """See the table above; -1: no limit."""

    max_connections: int = 10_000
    max_connections_per_ip: int = sys.maxsize
    connections_max_idle_ms: int = 600_000
    socket_request_max_bytes: int = 104_857_600
    queued_max_request_bytes: int = 256 << 20
    queued_max_response_bytes: int = 256 << 20
    request_arrival_max_ms: int = 60_000
    sasl_server_max_receive_size: int = 524_288

    def within_descriptors(self, for_others: int, each: int = 1) -> Limits:
        """The same with `max_connections` bounded by what this process may open (RLIMIT_NOFILE)
        beside `for_others`, where a connection takes `each`: who may connect but not be given a
        descriptor takes the log's.
        """
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = max((allowed - for_others) // each, 1)
        if allowed == resource.RLIM_INFINITY or self.max_connections <= room:
            return self
        _LOGGER.warning(
            "max.connections is %d and not %d: this process may open %d files (ulimit -n), "
            "of which the logs need %d",
            *(room, self.max_connections, allowed, for_others),
        )
        return replace(self, max_connections=room)


class ConnectionQuotas:
    """Counts connections. Thread-safe: they begin in one thread and end in others."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = Lock()
        self._by_host: Counter[str] = Counter()
        self._total = 0

    def admit(self, host: str) -> str | None:
        """Count one more connection of `host`, or say which setting forbids it."""
        with self._lock:
            if self._total >= self._limits.max_connections:
                return f"max.connections={self._limits.max_connections}"
            if self._by_host[host] >= self._limits.max_connections_per_ip:
                return f"max.connections.per.ip={self._limits.max_connections_per_ip}"
            self._by_host[host] += 1
            self._total += 1
            return None

    def release(self, host: str) -> None:
        """One connection of `host` has ended."""
        with self._lock:
            self._total -= 1
            self._by_host[host] -= 1
            if not self._by_host[host]:
                del self._by_host[host]
