"""What a verdict is about: the kernel, this kit's broker, a real Kafka, or what somebody else saw.

A fact of the kernel holds for whoever makes the call, so our own broker may show it. What *Kafka*
does is shown on a Kafka, live or recorded, or cited with its source: to find it in a broker that
was built after Kafka would be circular. `claims.toml` says which claims are about Kafka.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from zerocopy_lab.running.existing_cluster import AnyBroker


class SubjectKind(StrEnum):
    """The kinds of things that a finding may be about."""

    KERNEL = "the kernel here"
    THIS_BROKER = "this kit's broker"
    KAFKA = "Apache Kafka here"
    RECORDED = "recorded elsewhere"
    CITED = "cited"


class Subject(NamedTuple):
    """What was looked at. `words` names it for a reader: a version, a host, a source."""

    kind: SubjectKind
    words: str

    @property
    def speaks_of_kafka(self) -> bool:
        """Whether a claim about Kafka may be judged by it."""
        return self.kind in (SubjectKind.KAFKA, SubjectKind.RECORDED, SubjectKind.CITED)


KERNEL_HERE = Subject(SubjectKind.KERNEL, "the kernel of this machine")
THIS_BROKER = Subject(SubjectKind.THIS_BROKER, "zerocopy_lab's own broker")


def kafka_here(version: str) -> Subject:
    """A real Apache Kafka that ran on this machine."""
    return Subject(SubjectKind.KAFKA, f"Apache Kafka {version}, run here")


def recorded_on(what_and_where: str) -> Subject:
    """A run that was recorded earlier, of a real Kafka on some machine: say which and where."""
    return Subject(SubjectKind.RECORDED, what_and_where)


def cited(source: str) -> Subject:
    """What a file and version, a manual page or a paper says; named by what stands in front of the
    first comma.
    """
    return Subject(SubjectKind.CITED, source.split(",")[0])


def about(broker: AnyBroker) -> Subject:
    """What a measurement of this broker is about."""
    if broker.kind == "zerocopy_lab":
        return THIS_BROKER
    if broker.kind == "kafka":
        return kafka_here(broker.version)
    return Subject(SubjectKind.KAFKA, f"the cluster at {broker.bootstrap}")
