"""Where replicas go: the algorithm of Kafka's ZooKeeper years (`AdminUtils`, until Kafka 3.x).

Leaders round-robin from a random broker; the followers of a partition sit a *shift* behind its
leader, and the shift grows by one each time the leaders have gone around once, so that the
partitions led by one broker are not all followed by the same two.

With racks, the brokers are first dealt out like cards (one from each rack in turn), and a broker is
skipped as long as its rack has a replica and another rack has none (KIP-36).

Both random numbers are parameters here, so that a result can be repeated. Left out: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count, zip_longest

from zerocopy_lab.placement import Replicas


def place_shifted(
    partition_count: int,
    replication_factor: int,
    brokers: Sequence[int],
    *,
    start_index: int = 0,
    shift: int = 0,
) -> Replicas:
    """Replicas on brokers without racks. Source: `assignReplicasToBrokersRackUnaware`.

    `start_index` is the broker that leads partition 0, `shift` how far its first follower is
    moved; Kafka draws both at random. Raises ValueError when there are not enough brokers.
    """
    _check(partition_count, replication_factor, len(brokers))
    placed: dict[int, tuple[int, ...]] = {}
    for partition in range(partition_count):
        leader = (partition + start_index) % len(brokers)
        moved = shift + partition // len(brokers)
        followers = (
            _behind(leader, moved + number, len(brokers))
            for number in range(replication_factor - 1)
        )
        placed[partition] = tuple(brokers[index] for index in (leader, *followers))
    return placed


def place_shifted_over_racks(
    partition_count: int,
    replication_factor: int,
    racks: Mapping[int, str],
    *,
    start_index: int = 0,
    shift: int = 0,
) -> Replicas:
    """The same for brokers in racks (broker -> rack). Source: `assignReplicasToBrokersRackAware`.

    Raises ValueError when there are not enough brokers.
    """
    _check(partition_count, replication_factor, len(racks))
    brokers = deal_by_rack(racks)
    rack_count = len(set(racks.values()))
    placed: dict[int, tuple[int, ...]] = {}
    for partition in range(partition_count):
        leader = (partition + start_index) % len(brokers)
        moved = (shift + partition // len(brokers)) * rack_count
        held = [brokers[leader]]
        for number in count():
            if len(held) == replication_factor:
                break
            candidate = brokers[_behind(leader, moved + number, len(brokers))]
            seen = {racks[broker] for broker in held}
            if candidate not in held and (racks[candidate] not in seen or len(seen) == rack_count):
                held.append(candidate)
        placed[partition] = tuple(held)
    return placed


def deal_by_rack(racks: Mapping[int, str]) -> list[int]:
    """Brokers in the order 'first of each rack, second of each rack, ...', racks by name."""
    by_rack: dict[str, list[int]] = {}
    for broker in sorted(racks):
        by_rack.setdefault(racks[broker], []).append(broker)
    rounds = zip_longest(*(by_rack[rack] for rack in sorted(by_rack)))
    return [broker for broker in chain.from_iterable(rounds) if broker is not None]


def _behind(leader: int, shift: int, broker_count: int) -> int:
    """Index of the follower a shift behind the leader; never the leader itself."""
    return (leader + 1 + shift % (broker_count - 1)) % broker_count


def _check(partition_count: int, replication_factor: int, broker_count: int) -> None:
    if partition_count < 1 or replication_factor < 1:
        raise ValueError(
            f"{partition_count} partitions with {replication_factor} replicas: both must be over 0"
        )
    if replication_factor > broker_count:
        raise ValueError(
            f"{replication_factor} replicas need as many brokers, there are {broker_count}: "
            f"no broker stores two replicas of one partition"
        )
