"""Lab 01: who stores which replica, and what bounds it.

One broker with three log directories shows where partitions and their files go (S1, S2), and real
keys show where records go: `partition_homes`. A file system of our own that fills up shows the
bound (S1): `full_mount`. Who stores the replicas of a cluster is arithmetic, tried for as many
clusters as one likes (S3): `even_replicas`, and Kafka's own class is asked: `kafkas_placer`.
"""

from __future__ import annotations

from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.subject import Subject, SubjectKind, about, kafka_here
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab01.even_replicas import (
    ALGORITHMS,
    BROKERS,
    PARTITIONS,
    REPLICAS,
    Evenness,
    evenness,
    kafkas_evenness,
)
from zerocopy_lab.lessons.lab01.full_mount import BOUND, FullMount, spill_words
from zerocopy_lab.lessons.lab01.partition_homes import DIRECTORIES, Homes, KeyedTraffic, NextHome
from zerocopy_lab.lessons.lab01.where_a_partition_lives_exercises import (
    cluster_question,
    key_question,
)
from zerocopy_lab.placement.partitioners import java_partition
from zerocopy_lab.running.apache_kafka import default_version

__all__ = ["about", "cluster_question", "key_question"]

_OUR_COPY = Subject(SubjectKind.THIS_BROKER, "this kit's own copy of Kafka's algorithm")
WHOLE = "never split"
WITHIN_ONE, EXACTLY = "evenly, to within one", "exactly 5 on each"


def next_answer(seen: NextHome | Unmeasured) -> int | None:
    """Where the next partition went: the number of the notebook's choice."""
    if isinstance(seen, Unmeasured):
        return None
    return 1 if seen.chosen == seen.full else 2


def same_key_answer(traffic: KeyedTraffic) -> int:
    """How often Java would have chosen the same partition: the number of the notebook's choice."""
    agreeing = traffic.agreeing(java_partition)
    return 1 if agreeing == len(traffic.partitions_of) else 2 if agreeing else 3


def fullest_answer() -> int:
    """How many replicas the fullest broker has, without racks, by the algorithm in use today: the
    number of the notebook's choice.
    """
    most = evenness(ALGORITHMS[1], 1).most
    return 1 if most <= 5 else 2 if most == 6 else 3


def findings(
    subject: Subject,
    which: str,
    homes: Homes,
    spill: FullMount | Unmeasured,
    next_home: NextHome | Unmeasured,
) -> list[Finding]:
    """What this lab says about S1, S2 and S3."""
    return [
        _on_whole_partitions(subject, homes),
        _on_the_bound(subject, spill),
        _on_directories(subject, homes, next_home),
        *_on_even_replicas(which),
    ]


_FAR_AWAY = "The broker's directories are on another machine."


def _on_whole_partitions(subject: Subject, homes: Homes) -> Finding:
    whole = Aspect("S1", subject, WHOLE)
    if not homes:
        return whole.not_testable(_FAR_AWAY)
    split = sum(len(found) > 1 for found in homes.values())
    files = sum(home.segments for found in homes.values() for home in found)
    return whole.counted(
        not split,
        f"Of {len(homes)} partitions with {files} segment files, {split} have files in more than "
        "one directory.",
        Quantity("partitions", len(homes)),
        Quantity("segment files", files),
        Quantity("partitions in more than one directory", split),
    )


def _on_the_bound(subject: Subject, spill: FullMount | Unmeasured) -> Finding:
    bound = Aspect("S1", subject, BOUND)
    if isinstance(spill, Unmeasured):
        return bound.not_testable(spill_words(spill))
    stopped_there = bool(spill.refusal) and not spill.bytes_of_it_elsewhere
    bounded = spill.stored_bytes <= spill.mount_bytes < spill.free_elsewhere_bytes
    return bound.proved(
        stopped_there and bounded and spill.other_partition_goes_on,
        spill_words(spill),
        Quantity("stored", spill.stored_bytes, "bytes"),
        Quantity("size of the mount", spill.mount_bytes, "bytes"),
        Quantity("of the partition, in the other directory", spill.bytes_of_it_elsewhere, "bytes"),
        Quantity("free in the other directory", spill.free_elsewhere_bytes, "bytes"),
        Quantity("the partition in the other directory goes on", spill.other_partition_goes_on),
    )


def _on_directories(subject: Subject, homes: Homes, next_home: NextHome | Unmeasured) -> Finding:
    if isinstance(next_home, Unmeasured) or not homes:
        return Aspect("S2", subject).not_testable(_FAR_AWAY)
    used = {home.directory for found in homes.values() for home in found}
    fewest = "with" if next_home.chosen == next_home.full else "not with"
    return Aspect("S2", subject).counted(
        used == set(range(DIRECTORIES)),
        f"The broker was given {DIRECTORIES} directories and keeps partitions in {len(used)} of "
        f"them. The next one went into that {fewest} the fewest partitions.",
        Quantity("directories given", DIRECTORIES),
        Quantity("directories with partitions", len(used)),
        Quantity("partitions found in them", len(homes)),
    )


def _on_even_replicas(which: str) -> list[Finding]:
    plain, racks = kafkas_evenness(which, 1), kafkas_evenness(which, 3)
    if isinstance(plain, Evenness) and isinstance(racks, Evenness):
        return evenness_findings(kafka_here(default_version()), plain, racks)
    return evenness_findings(_OUR_COPY, evenness(ALGORITHMS[1], 1), evenness(ALGORITHMS[1], 3))


def evenness_findings(subject: Subject, plain: Evenness, racks: Evenness) -> list[Finding]:
    """S3 by placements: no broker further than one from the mean; and exactly the same on each."""
    mean = PARTITIONS * REPLICAS / BROKERS
    quantities = (
        Quantity("replicas", PARTITIONS * REPLICAS),
        Quantity("fewest on a broker", plain.fewest),
        Quantity("most on a broker", plain.most),
        Quantity("starts with the same on each, no racks", plain.exactly_even),
        Quantity("starts with the same on each, three racks", racks.exactly_even),
    )
    within = mean - 1 <= plain.fewest and plain.most <= mean + 1
    return [
        Aspect("S3", subject, WITHIN_ONE).counted(
            within,
            f"{PARTITIONS * REPLICAS} replicas, {mean:g} a broker on average. Without racks a "
            f"broker got {plain.fewest} to {plain.most}, in {plain.starts} placements: "
            f"{'never' if within else 'sometimes'} more than one away from the average.",
            *quantities,
        ),
        Aspect("S3", subject, EXACTLY).counted(
            plain.exactly_even == plain.starts,
            f"Exactly {mean:g} on each in {plain.exactly_even} of {plain.starts} placements "
            f"without racks, and in {racks.exactly_even} of {racks.starts} with three racks of two "
            "brokers.",
            *quantities,
        ),
    ]
