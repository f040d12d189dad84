"""What the network has done so far, as plain numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields


@dataclass
class NetworkCounters:
    """Sums since the start. `file_bytes` are those that went from a file into a socket by the
    transfer strategy: with sendfile the ones that nobody copied.
    """

    connections_opened: int = 0
    connections_refused: Counter[str] = field(default_factory=Counter)  # by setting
    connections_cut_off: Counter[str] = field(default_factory=Counter)  # by reason
    received_bytes: int = 0
    sent_bytes: int = 0
    file_bytes: int = 0
    would_blocks: int = 0  # how often a socket was full
    requests_without_memory: int = 0  # how often one had to wait

    def add(self, other: NetworkCounters) -> None:
        """Sum both, into this one."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
