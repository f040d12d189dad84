"""The exercises of lab 01: a log directory to choose, a key's partition, a bound, and a placement
that is more even than Kafka's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from zerocopy_lab.classroom.exercises import Exercise, Grade, building, failed, passed
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.conformance.part import NotBegun
from zerocopy_lab.conformance.plain_values import plain
from zerocopy_lab.placement.partitioners import java_partition, librdkafka_partition


class KeyQuestion(NamedTuple):
    """A learner's own key for exercise 01.2."""

    key: bytes
    partition_count: int


def key_question(lab: Lab) -> KeyQuestion:
    """A flight whose two partitions differ, drawn from the seed."""
    draw = lab.random("key")
    while True:
        key = f"{draw.choice(['EWR', 'JFK', 'LGA'])}-{draw.randrange(1000, 9999)}".encode()
        count = draw.randrange(7, 40)
        if librdkafka_partition(key, count) != java_partition(key, count):
            return KeyQuestion(key, count)


def _grade_key(answer: Any, lab: Lab) -> Grade:
    key, count = key_question(lab)
    if answer == librdkafka_partition(key, count):
        other = java_partition(key, count)
        return passed(f"A Java producer would have put it into partition {other}.")
    if answer == java_partition(key, count):
        return failed("That is where a Java producer puts it. Which hash does librdkafka take?")
    return failed(
        "The hash of the key, modulo the number of partitions. Python's zlib has the hash."
    )


class Cluster(NamedTuple):
    """A learner's own cluster for exercise 01.3. Sizes in GiB."""

    brokers: int
    disks: int
    disk_gib: int
    replicas: int


def cluster_question(lab: Lab) -> Cluster:
    """Drawn from the seed."""
    draw = lab.random("cluster")
    return Cluster(draw.randrange(4, 12), draw.choice([2, 4, 8]), draw.choice([500, 900, 1800]), 3)


def _grade_bound(answer: Any, lab: Lab) -> Grade:
    brokers, disks, disk_gib, replicas = cluster_question(lab)
    if answer == disk_gib:
        return passed("One replica, one mount point. More space is had by more partitions.")
    if answer == disk_gib * disks:
        return failed(
            "A broker does not spread one partition over its disks. Where does each file of it lie?"
        )
    if answer in (brokers * disks * disk_gib, brokers * disks * disk_gib / replicas):
        return failed(
            "That bounds a topic, not one partition. How many places can one replica be in?"
        )
    return failed(
        "Follow one replica: one broker, one directory, one mount point. How large is that?"
    )


_CLUSTERS = 200


def _grade_even(place: Any, lab: Lab) -> Grade:
    """The rule itself is the oracle: whatever obeys it is right, however it was found."""
    if not callable(place):
        return failed("The answer is a function: place(partitions, replicas, brokers).")
    draw = lab.random("placements")
    tried = [(10, 3, 6)]
    for _ in range(_CLUSTERS):
        brokers = draw.randrange(1, 13)
        tried.append((draw.randrange(1, 61), draw.randrange(1, min(brokers, 5) + 1), brokers))
    for partitions, replicas, brokers in tried:
        answer = plain(place(partitions, replicas, brokers))
        if answer is None:
            raise NotBegun
        wrong = what_is_uneven(answer, partitions, replicas, brokers)
        if wrong:
            case = f"{partitions} partitions, {replicas} replicas, {brokers} brokers: "
            return failed(case + wrong)
    return passed(
        f"{len(tried)} clusters, each as even as whole numbers allow. Kafka draws anew for each "
        "topic instead, so that many topics together come out even."
    )


def what_is_uneven(answer: Any, partitions: int, replicas: int, brokers: int) -> str:
    """What is wrong with a placement, in words; "" for one that is right."""
    if type(answer) not in (list, tuple) or len(answer) != partitions:
        return f"a list with one entry a partition is wanted, {partitions} in all."
    for number, held in enumerate(answer):
        if type(held) not in (list, tuple) or len(held) != replicas:
            return f"partition {number} should be on {replicas} brokers: {held!r}."
        if any(type(broker) is not int or not 0 <= broker < brokers for broker in held):
            return f"brokers are numbered 0 to {brokers - 1}; partition {number} is on {held!r}."
        if len(set(held)) < replicas:
            return f"partition {number} is twice on one broker, {held!r}: one death takes both."
    for what, placed in (
        ("replicas", [broker for held in answer for broker in held]),
        ("leaders", [held[0] for held in answer]),
    ):
        sums = [placed.count(broker) for broker in range(brokers)]
        if max(sums) - min(sums) > 1:
            return f"{what} a broker: {sums}. No two may differ by more than one."
    return ""


EXERCISES = (
    building(
        "01.1",
        "placement",
        "In which log directory is a new partition made?",
        (
            "You are told how many partitions each directory holds, and nothing about bytes. That "
            "is all that Kafka looks at.",
            "The answer is a place in the list, not the count that stands there.",
            "min(range(len(partition_counts)), key=...): the key of a place is its count.",
        ),
    ),
    Exercise(
        "01.2",
        "Into which partition does confluent-kafka put your key?",
        _grade_key,
        (
            "Which of the two columns of the table above agreed with where the records were?",
            "A hash of the key's bytes, modulo the number of partitions. The hash is in `zlib`.",
            "zlib.crc32(key) % partition_count",
        ),
    ),
    Exercise(
        "01.3",
        "How large can one partition become in your cluster?",
        _grade_bound,
        (
            "Follow one replica of it. On how many brokers is that?",
            "On one broker, in one of its log.dirs. What happened when that one was full?",
            "The size of one disk, in GiB. Brokers, disks and replicas do not come into it.",
        ),
    ),
    Exercise(
        "01.4",
        "Place replicas so that no two brokers differ by more than one.",
        _grade_even,
        (
            "Deal replicas out like cards: partition after partition takes the next brokers in the "
            "circle, and the next partition begins where the last one stopped.",
            "Partition p begins at broker p * replicas % brokers. Now count who leads: when 3 "
            "brokers are taken from 6, only two of them ever come first. Each time the cards come "
            "around to the same place, somebody else in the group has to lead.",
            "The groups repeat after brokers // math.gcd(replicas, brokers) partitions. Turn each "
            "group by how often it has come: k = p // that % replicas; group[k:] + group[:k].",
        ),
        takes_code=True,
    ),
)
