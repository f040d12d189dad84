"""Lab 01: who stores which replica, and what bounds it.

One broker with three log directories shows where partitions and their files go (S1, S2), and real
keys show where records go: `partition_homes`. Who stores the replicas of a cluster is arithmetic,
tried for as many clusters as one likes (S3): `even_replicas`. A file system of our own that fills
up shows the bound (S1): `full_mount`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zerocopy_lab.classroom.evidence import Evidence, Finding, Quantity, Verdict, finding
from zerocopy_lab.classroom.exercises import Exercise, Grade, failed, passed
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.lessons.lab01.even_replicas import (
    ALGORITHMS,
    BROKERS,
    PARTITIONS,
    REPLICAS,
    evenness,
)
from zerocopy_lab.lessons.lab01.partition_homes import DIRECTORIES, Home, KeyedTraffic
from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.pictures.theme import byte_count
from zerocopy_lab.placement.partitioners import java_partition, librdkafka_partition
from zerocopy_lab.running.full_mount import FullMount, fill_in_namespace

__all__ = ["EXERCISES", "fill_in_namespace", "java_partition", "librdkafka_partition"]

NEXT_DIRECTORY_QUESTION = (
    "Directory 0 holds one partition with all the data there is. Directories 1 and 2 hold two "
    "empty partitions each. Where does the broker put the next partition?"
)
NEXT_DIRECTORY_CHOICES = (
    "into directory 0, the one with the most bytes",
    "into directory 1 or 2, which have the least to store",
    "a part of it into each",
)
SAME_KEY_QUESTION = (
    "A Java producer and confluent-kafka send the same keys. Do they choose the same partitions?"
)
SAME_KEY_CHOICES = ("always", "for some keys only, by chance", "never")
FULLEST_QUESTION = (
    "10 partitions with 3 replicas on 6 brokers are 30 replicas. How many does the fullest broker "
    "store?"
)
FULLEST_CHOICES = ("5, like every other", "6", "7 or more")


def next_directory_answer(directory: int) -> str:
    """The choice that the broker made."""
    return NEXT_DIRECTORY_CHOICES[0 if directory == 0 else 1]


def same_key_answer(traffic: KeyedTraffic) -> str:
    """How often Java would have chosen the same partition."""
    agreeing = traffic.agreeing(java_partition)
    return SAME_KEY_CHOICES[0 if agreeing == len(traffic.partitions_of) else 1 if agreeing else 2]


def fullest_answer() -> str:
    """How many replicas the fullest broker has, without racks, by the algorithm in use today."""
    most = evenness(ALGORITHMS[1], 1).most
    return FULLEST_CHOICES[0 if most <= 5 else 1 if most == 6 else 2]


def findings(
    homes: Mapping[TopicPartition, Sequence[Home]], spill: FullMount | str
) -> list[Finding]:
    """What this lab says about S1, S2 and S3."""
    return [
        _on_whole_partitions(homes),
        _on_the_bound(spill),
        _on_directories(homes),
        _on_even_replicas(),
    ]


def _on_whole_partitions(homes: Mapping[TopicPartition, Sequence[Home]]) -> Finding:
    split = sum(len(found) > 1 for found in homes.values())
    files = sum(home.segments for found in homes.values() for home in found)
    return finding(
        "S1",
        Verdict.CONTRADICTED if split else Verdict.SUPPORTED,
        Evidence.COUNTED,
        f"Of {len(homes)} partitions with {files} segment files, {split} have files in more than "
        "one directory.",
        Quantity("partitions", len(homes)),
        Quantity("segment files", files),
        Quantity("partitions in more than one directory", split),
        part="never split",
    )


def _on_the_bound(spill: FullMount | str) -> Finding:
    part = "bounded by one mount point"
    if isinstance(spill, str):
        return finding("S1", Verdict.NOT_TESTABLE, Evidence.PROVED, spill, part=part)
    bounded = spill.stored_bytes <= spill.mount_bytes < spill.free_elsewhere_bytes
    return finding(
        "S1",
        Verdict.SUPPORTED if bounded and spill.other_partition_goes_on else Verdict.CONTRADICTED,
        Evidence.PROVED,
        f"On a mount of {byte_count(spill.mount_bytes)} a partition took "
        f"{byte_count(spill.stored_bytes)} and was then refused, while another directory of the "
        f"same broker had {byte_count(spill.free_elsewhere_bytes)} free.",
        Quantity("stored", spill.stored_bytes, "bytes"),
        Quantity("size of the mount", spill.mount_bytes, "bytes"),
        Quantity("free in the other directory", spill.free_elsewhere_bytes, "bytes"),
        Quantity("the partition in the other directory goes on", spill.other_partition_goes_on),
        part=part,
    )


def _on_directories(homes: Mapping[TopicPartition, Sequence[Home]]) -> Finding:
    used = {home.directory for found in homes.values() for home in found}
    return finding(
        "S2",
        Verdict.SUPPORTED if len(used) == DIRECTORIES else Verdict.CONTRADICTED,
        Evidence.COUNTED,
        f"The broker was given {DIRECTORIES} directories and keeps partitions in {len(used)} of "
        "them.",
        Quantity("directories given", DIRECTORIES),
        Quantity("directories with partitions", len(used)),
        Quantity("partitions found in them", len(homes)),
    )


def _on_even_replicas() -> Finding:
    """Evenly: no broker further than one replica from the mean. Exactly the same would be more."""
    plain = [evenness(algorithm, 1) for algorithm in ALGORITHMS]
    racks = evenness(ALGORITHMS[1], 3)
    fewest, most = min(even.fewest for even in plain), max(even.most for even in plain)
    exactly, starts = (sum(column) for column in zip(*(e[2:] for e in plain), strict=True))
    mean = PARTITIONS * REPLICAS / BROKERS
    return finding(
        "S3",
        Verdict.SUPPORTED if mean - 1 <= fewest and most <= mean + 1 else Verdict.CONTRADICTED,
        Evidence.COUNTED,
        f"{PARTITIONS * REPLICAS} replicas, {mean:g} a broker on average. Without racks a broker "
        f"gets {fewest} to {most}: exactly {mean:g} on each in {exactly} of {starts} starts. "
        f"With three racks of two brokers: in {racks.exactly_even} of {racks.starts}.",
        Quantity("replicas", PARTITIONS * REPLICAS),
        Quantity("fewest on a broker", fewest),
        Quantity("most on a broker", most),
        Quantity("starts with the same on each, no racks", exactly),
        Quantity("starts with the same on each, three racks", racks.exactly_even),
        source="the algorithms are Kafka's: AdminUtils, StripedReplicaPlacer",
    )


class KeyQuestion(NamedTuple):
    """A learner's own key for exercise 01.1."""

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
    """A learner's own cluster for exercise 01.2. Sizes in GiB."""

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


class EvenQuestion(NamedTuple):
    """A learner's own cluster for exercise 01.3, and how many partitions are wanted at least."""

    brokers: int
    replicas: int
    at_least: int


def even_question(lab: Lab) -> EvenQuestion:
    """Clusters in which whole numbers alone do not make it even, drawn from the seed."""
    draw = lab.random("even")
    brokers, replicas = draw.choice([(6, 3), (6, 2), (9, 3), (8, 2)])
    return EvenQuestion(brokers, replicas, draw.randrange(brokers + 1, 2 * brokers - 2))


def always_even(question: EvenQuestion, partitions: int) -> bool:
    """Whether all brokers get the same whatever the start, by either algorithm, without racks."""
    tried = (
        evenness(each, 1, partitions, question.replicas, question.brokers) for each in ALGORITHMS
    )
    return all(even.exactly_even == even.starts for even in tried)


def _grade_even(answer: Any, lab: Lab) -> Grade:
    question = even_question(lab)
    if type(answer) is not int or answer < question.at_least:
        return failed(f"A number of partitions is wanted, {question.at_least} or more.")
    smallest = next(p for p in range(question.at_least, 10_000) if always_even(question, p))
    if answer == smallest:
        return passed("Whole rounds: each broker leads, and follows, equally often.")
    if answer > smallest and always_even(question, answer):
        return failed("That is even, but fewer partitions will do.")
    if answer * question.replicas % question.brokers == 0:
        return failed(
            "The division comes out even, the placement does not: try your number in the widget."
        )
    return failed("Partitions times replicas has to be a multiple of the brokers, to begin with.")


EXERCISES = (
    Exercise("01.1", "Into which partition does confluent-kafka put your key?", _grade_key),
    Exercise("01.2", "How large can one partition become in your cluster?", _grade_bound),
    Exercise("01.3", "How many partitions make your cluster exactly even?", _grade_even),
)
