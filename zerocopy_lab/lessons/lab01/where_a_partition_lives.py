"""Lab 01: who stores which replica, and what bounds it.

One broker with three log directories shows where partitions and their files go (S1, S2), and real
keys show where records go: `partition_homes`. A file system of our own that fills up shows the
bound (S1): `full_mount`. Who stores the replicas of a cluster is arithmetic, tried for as many
clusters as one likes (S3): `even_replicas`, and Kafka's own class is asked: `kafkas_placer`.
"""

from __future__ import annotations

from zerocopy_lab.classroom.evidence import (
    Evidence,
    Finding,
    Quantity,
    Verdict,
    cited_finding,
    finding,
    seen_on,
    verdict_if,
)
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

_LOG_MANAGER = "Apache Kafka 4.2, core/src/main/scala/kafka/log/LogManager.scala"
_PLACER = (
    "Apache Kafka 4.2, metadata/src/main/java/org/apache/kafka/metadata/placement/"
    "StripedReplicaPlacer.java; before KRaft: Kafka 3.9, server-common/src/main/java/org/apache/"
    "kafka/admin/AdminUtils.java"
)
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
        *_by_the_source(),
        _on_directories(subject, homes, next_home),
        *_on_even_replicas(which),
    ]


def _on_whole_partitions(subject: Subject, homes: Homes) -> Finding:
    if not homes:
        return _nothing_to_see("S1", subject, WHOLE)
    split = sum(len(found) > 1 for found in homes.values())
    files = sum(home.segments for found in homes.values() for home in found)
    return seen_on(
        subject,
        "S1",
        verdict_if(not split),
        Evidence.COUNTED,
        f"Of {len(homes)} partitions with {files} segment files, {split} have files in more than "
        "one directory.",
        Quantity("partitions", len(homes)),
        Quantity("segment files", files),
        Quantity("partitions in more than one directory", split),
        part=WHOLE,
    )


def _nothing_to_see(claim_id: str, subject: Subject, part: str = "") -> Finding:
    words = "The broker's directories are on another machine."
    return finding(
        claim_id, Verdict.NOT_TESTABLE, Evidence.COUNTED, words, part=part, about=subject
    )


def _on_the_bound(subject: Subject, spill: FullMount | Unmeasured) -> Finding:
    if isinstance(spill, Unmeasured):
        words = spill_words(spill)
        return finding(
            "S1", Verdict.NOT_TESTABLE, Evidence.PROVED, words, part=BOUND, about=subject
        )
    stopped_there = bool(spill.refusal) and not spill.bytes_of_it_elsewhere
    bounded = spill.stored_bytes <= spill.mount_bytes < spill.free_elsewhere_bytes
    return seen_on(
        subject,
        "S1",
        verdict_if(stopped_there and bounded and spill.other_partition_goes_on),
        Evidence.PROVED,
        spill_words(spill),
        Quantity("stored", spill.stored_bytes, "bytes"),
        Quantity("size of the mount", spill.mount_bytes, "bytes"),
        Quantity("of the partition, in the other directory", spill.bytes_of_it_elsewhere, "bytes"),
        Quantity("free in the other directory", spill.free_elsewhere_bytes, "bytes"),
        Quantity("the partition in the other directory goes on", spill.other_partition_goes_on),
        part=BOUND,
    )


def _by_the_source() -> list[Finding]:
    return [
        cited_finding(
            "S1",
            Verdict.SUPPORTED,
            "A log is made in one directory below one of log.dirs, and all its segments are files "
            "of that directory. A replica can be moved to another of them (KIP-113), as a whole.",
            f"{_LOG_MANAGER} (getOrCreateLog)",
            WHOLE,
        ),
        cited_finding(
            "S2",
            Verdict.SUPPORTED,
            "log.dirs (or log.dir) names the directories; a new partition goes to the one that "
            "holds the fewest, unless it was told which.",
            f"{_LOG_MANAGER} (nextLogDirs)",
        ),
    ]


def _on_directories(subject: Subject, homes: Homes, next_home: NextHome | Unmeasured) -> Finding:
    if isinstance(next_home, Unmeasured) or not homes:
        return _nothing_to_see("S2", subject)
    used = {home.directory for found in homes.values() for home in found}
    fewest = "with" if next_home.chosen == next_home.full else "not with"
    return seen_on(
        subject,
        "S2",
        verdict_if(used == set(range(DIRECTORIES))),
        Evidence.COUNTED,
        f"The broker was given {DIRECTORIES} directories and keeps partitions in {len(used)} of "
        f"them. The next one went into that {fewest} the fewest partitions.",
        Quantity("directories given", DIRECTORIES),
        Quantity("directories with partitions", len(used)),
        Quantity("partitions found in them", len(homes)),
    )


def _on_even_replicas(which: str) -> list[Finding]:
    plain, racks = kafkas_evenness(which, 1), kafkas_evenness(which, 3)
    asked: list[Finding] = []
    if isinstance(plain, Evenness) and isinstance(racks, Evenness):
        asked = evenness_findings(kafka_here(default_version()), plain, racks)
    ours = evenness_findings(_OUR_COPY, evenness(ALGORITHMS[1], 1), evenness(ALGORITHMS[1], 3))
    says = (
        "Leaders go around the brokers from a random start; today's algorithm shuffles them after "
        "each round, that of the ZooKeeper years moves the followers on. Neither counts sums: "
    )
    return [
        *(asked or ours),
        cited_finding(
            "S3",
            Verdict.SUPPORTED,
            f"{says}so 30 replicas on 6 brokers differ by one or two, 4 to 6 each.",
            _PLACER,
            WITHIN_ONE,
        ),
        cited_finding(
            "S3",
            Verdict.CONTRADICTED,
            f"{says}without racks neither gives every broker exactly 5.",
            _PLACER,
            EXACTLY,
        ),
    ]


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
    return [
        seen_on(
            subject,
            "S3",
            verdict_if(mean - 1 <= plain.fewest and plain.most <= mean + 1),
            Evidence.COUNTED,
            f"{PARTITIONS * REPLICAS} replicas, {mean:g} a broker on average. Without racks a "
            f"broker got {plain.fewest} to {plain.most}, in {plain.starts} placements.",
            *quantities,
            part=WITHIN_ONE,
        ),
        seen_on(
            subject,
            "S3",
            verdict_if(plain.exactly_even == plain.starts),
            Evidence.COUNTED,
            f"Exactly {mean:g} on each in {plain.exactly_even} of {plain.starts} placements "
            f"without racks, and in {racks.exactly_even} of {racks.starts} with three racks of two "
            "brokers.",
            *quantities,
            part=EXACTLY,
        ),
    ]
