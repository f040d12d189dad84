"""Where replicas go: the algorithm of KRaft controllers (`StripedReplicaPlacer`).

Racks take turns, and in each rack its brokers do. The rack that leads advances by one from
partition to partition, and so does the broker that each rack offers first: replicas form diagonal
stripes. After as many partitions as there are brokers everything is shuffled, so that the same sets
do not come back for ever. Brokers without racks count as one nameless rack.

Left out: fenced brokers (registered but not in service), and going on from the partitions a topic
already has when some are added.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from zerocopy_lab.placement import Replicas


def place_striped(
    partition_count: int,
    replication_factor: int,
    racks: Mapping[int, str],
    source: random.Random,
) -> Replicas:
    """Replicas for one new topic; `racks` is broker -> rack, the same rack for all if there are
    none.

    Random numbers are drawn in the order in which Kafka draws them: a test has a `source` that
    counts as `java.util.Random` does, and finds the answers of a real Kafka.
    Raises ValueError when there are not enough brokers.
    """
    if partition_count < 1 or replication_factor < 1:
        raise ValueError(
            f"{partition_count} partitions with {replication_factor} replicas: both must be over 0"
        )
    if replication_factor > len(racks):
        raise ValueError(
            f"{replication_factor} replicas need as many brokers, there are {len(racks)}: "
            f"no broker stores two replicas of one partition"
        )
    stripes = _Stripes(racks, source)
    return {partition: stripes.next(replication_factor) for partition in range(partition_count)}


class _Rack:
    """The brokers of one rack, offered round-robin, one further from partition to partition."""

    def __init__(self, brokers: list[int], source: random.Random) -> None:
        self.brokers = sorted(brokers)
        self._first = source.randrange(len(brokers))
        self._offered = 0
        self._epoch = 0

    def next(self, epoch: int) -> int | None:
        """The next broker for this partition; None when all of them have been offered to it."""
        if self._epoch != epoch:
            self._epoch, self._offered = epoch, 0
            self._first = (self._first + 1) % len(self.brokers)
        if self._offered == len(self.brokers):
            return None
        broker = self.brokers[(self._first + self._offered) % len(self.brokers)]
        self._offered += 1
        return broker


class _Stripes:
    """All racks, and which of them leads next. `epoch` counts partitions since the last shuffle."""

    def __init__(self, racks: Mapping[int, str], source: random.Random) -> None:
        self._source = source
        self._broker_count = len(racks)
        names = sorted(set(racks.values()))
        self._racks = [_Rack([b for b in racks if racks[b] == name], source) for name in names]
        self._by_name = list(self._racks)
        self._leading = source.randrange(len(names))
        self._epoch = 0

    def next(self, replication_factor: int) -> tuple[int, ...]:
        """The brokers of one partition: one from each rack in turn, until there are enough."""
        if self._epoch == self._broker_count > 1:
            self._shuffle()
        turn = self._leading = self._leading % len(self._racks)
        brokers: list[int] = []
        while len(brokers) < replication_factor:
            broker = self._racks[turn].next(self._epoch)
            if broker is not None:
                brokers.append(broker)
            turn = (turn + 1) % len(self._racks)
        self._epoch += 1
        self._leading += 1
        return tuple(brokers)

    def _shuffle(self) -> None:
        self._source.shuffle(self._racks)
        for rack in self._by_name:
            self._source.shuffle(rack.brokers)
        self._epoch = 0
