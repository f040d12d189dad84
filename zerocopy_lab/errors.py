"""Every error that a Kafka client may be told about, and the few that never reach the wire.

A room that finds something wrong raises the error by its name; the broker turns it into the number
that the client understands, dispatch for a whole request, a handler for each item of it. The
numbers and their meaning are Kafka's own (`org.apache.kafka.common.protocol.Errors`).

Left out: the codes of features that this broker does not have (share groups, quotas, delegation
tokens, ...).
"""

# ruff: noqa: D101 - the name of a Kafka error is its description; Kafka's page has the rest

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self


class KafkaError(Exception):
    """An error with a Kafka error code; the message is for the log line and the person who reads
    it.
    """

    code: ClassVar[int] = -1  # UNKNOWN_SERVER_ERROR
    #: Index in its batch and reason of each record that is to blame; none: all of them (KIP-467).
    record_errors: tuple[tuple[int, str], ...] = ()

    def of_records(self, reasons: Mapping[int, str]) -> Self:
        """This error, which names the records that are to blame."""
        self.record_errors = tuple(reasons.items())
        return self

    def alone(self) -> Self:
        """This error without the calls it came through: kept as a value, it would keep whatever
        they had in their hands, megabytes perhaps, until the garbage collector comes by.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self


class UnknownServerError(KafkaError):
    code = -1


class OffsetOutOfRange(KafkaError):
    code = 1


class CorruptMessage(KafkaError):
    code = 2


class UnknownTopicOrPartition(KafkaError):
    code = 3


class LeaderNotAvailable(KafkaError):
    code = 5


class NotLeaderOrFollower(KafkaError):
    code = 6


class RequestTimedOut(KafkaError):
    code = 7


class MessageTooLarge(KafkaError):
    code = 10


class OffsetMetadataTooLarge(KafkaError):
    code = 12


class CoordinatorLoadInProgress(KafkaError):
    code = 14


class CoordinatorNotAvailable(KafkaError):
    code = 15


class NotCoordinator(KafkaError):
    code = 16


class InvalidTopic(KafkaError):
    code = 17


class RecordListTooLarge(KafkaError):
    code = 18


class NotEnoughReplicas(KafkaError):
    code = 19


class InvalidRequiredAcks(KafkaError):
    code = 21


class IllegalGeneration(KafkaError):
    code = 22


class InconsistentGroupProtocol(KafkaError):
    code = 23


class InvalidGroupId(KafkaError):
    code = 24


class UnknownMemberId(KafkaError):
    code = 25


class InvalidSessionTimeout(KafkaError):
    code = 26


class RebalanceInProgress(KafkaError):
    code = 27


class InvalidCommitOffsetSize(KafkaError):
    code = 28


class InvalidTimestamp(KafkaError):
    code = 32


class UnsupportedSaslMechanism(KafkaError):
    code = 33


class IllegalSaslState(KafkaError):
    code = 34


class UnsupportedVersion(KafkaError):
    code = 35


class TopicAlreadyExists(KafkaError):
    code = 36


class InvalidPartitions(KafkaError):
    code = 37


class InvalidReplicationFactor(KafkaError):
    code = 38


class InvalidReplicaAssignment(KafkaError):
    code = 39


class InvalidConfig(KafkaError):
    code = 40


class InvalidRequest(KafkaError):
    code = 42


class UnsupportedForMessageFormat(KafkaError):
    code = 43


class PolicyViolation(KafkaError):
    code = 44


class OutOfOrderSequenceNumber(KafkaError):
    code = 45


class DuplicateSequenceNumber(KafkaError):
    code = 46


class InvalidProducerEpoch(KafkaError):
    code = 47


class InvalidTxnState(KafkaError):
    code = 48


class InvalidProducerIdMapping(KafkaError):
    code = 49


class TransactionalIdAuthorizationFailed(KafkaError):
    code = 53


class SecurityDisabled(KafkaError):
    code = 54


class KafkaStorageError(KafkaError):
    code = 56


class LogDirNotFound(KafkaError):
    code = 57


class SaslAuthenticationFailed(KafkaError):
    code = 58


class UnknownProducerId(KafkaError):
    code = 59


class DelegationTokenAuthDisabled(KafkaError):
    code = 61


class NonEmptyGroup(KafkaError):
    code = 68


class GroupIdNotFound(KafkaError):
    code = 69


class FetchSessionIdNotFound(KafkaError):
    code = 70


class FencedLeaderEpoch(KafkaError):
    code = 74


class UnknownLeaderEpoch(KafkaError):
    code = 75


class UnsupportedCompressionType(KafkaError):
    code = 76


class MemberIdRequired(KafkaError):
    code = 79


class GroupMaxSizeReached(KafkaError):
    code = 81


class FencedInstanceId(KafkaError):
    code = 82


class ElectionNotNeeded(KafkaError):
    code = 84


class GroupSubscribedToTopic(KafkaError):
    code = 86


class InvalidRecord(KafkaError):
    code = 87


class ResourceNotFound(KafkaError):
    code = 91


class UnknownTopicId(KafkaError):
    code = 100


class InconsistentTopicId(KafkaError):
    code = 103


class FencedMemberEpoch(KafkaError):
    code = 110


class UnreleasedInstanceId(KafkaError):
    code = 111


class UnsupportedAssignor(KafkaError):
    code = 112


class StaleMemberEpoch(KafkaError):
    code = 113


class MismatchedEndpointType(KafkaError):
    code = 114


class InvalidRegularExpression(KafkaError):
    code = 128


class CloseConnection(Exception):
    """There is nothing sensible to answer, so this connection has to end; the message becomes the
    log line.
    """


class FrameError(CloseConnection):
    """The bytes on a connection are no Kafka request."""


class FileShrank(OSError):
    """A slice promises bytes that its file no longer has: somebody truncated it after the slice was
    made.
    """
