"""Consumer groups of the new protocol under any order of heartbeats, crashes, failing disks and
restarts: no two members ever read the same partition.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.broker.groups.consumer_play import REBALANCE_S, SESSION_S, ConsumerStage, Member
from zerocopy_lab.errors import KafkaStorageError

WHO = st.integers(0, 4)
STARTS_ANEW = (25, 69, 110)


class ConsumerGroupLife(RuleBasedStateMachine):
    """Five members, two of whom claim the same static name."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = ConsumerStage()
        names = [None, None, None, "i", "i"]
        self.members = [
            Member(self.stage, f"m{i}", instance_id=name) for i, name in enumerate(names)
        ]
        self.made = len(names)

    @rule(who=WHO, topics=st.sampled_from([("t",), ("t", "u"), ("u",)]))
    def join(self, who: int, topics: tuple[str, ...]) -> None:
        member = self.members[who]
        if member.epoch <= 0:
            member.topics = topics
            assert member.join() in (0, 56, 110, 111)

    @rule(who=WHO, lets_go=st.booleans(), lost=st.booleans())
    def beat(self, who: int, lets_go: bool, lost: bool) -> None:
        member = self.members[who]
        if member.epoch > 0:
            code = member.beat(lets_go=lets_go, lost=lost)
            assert code in (0, 56, 82, *STARTS_ANEW)
            if code in STARTS_ANEW:
                self.crash(who)

    @rule(who=WHO, epoch=st.sampled_from([-1, -2]))
    def leave(self, who: int, epoch: int) -> None:
        member = self.members[who]
        code = member.leave(epoch if member.instance_id else -1)
        assert code in (0, 25, 56, 69, 82)

    @rule(who=WHO)
    def crash(self, who: int) -> None:
        """The process is gone and starts anew, with another id; nobody was told."""
        self.members[who] = Member(
            self.stage, f"m{self.made}", instance_id=self.members[who].instance_id
        )
        self.made += 1

    @rule(seconds=st.sampled_from([1, SESSION_S - 1, SESSION_S, REBALANCE_S]))
    def wait(self, seconds: int) -> None:
        self.stage.timers.advance(seconds)
        group = self.stage.groups.get("g")
        for who, member in enumerate(self.members):
            # A client that was not heard of for a session gives up what it has by itself.
            if member.epoch > 0 and (group is None or member.member_id not in group.members):
                self.crash(who)

    @rule()
    def restart(self) -> None:
        self.stage.restart()

    @rule(broken=st.booleans())
    def disk(self, broken: bool) -> None:
        self.stage.log.refuse_writes = KafkaStorageError("disk full") if broken else None

    @rule(partitions=st.integers(1, 9), name=st.sampled_from(["t", "u"]))
    def create_topic(self, partitions: int, name: str) -> None:
        self.stage.create(name, partitions)

    @rule(more=st.integers(1, 3))
    def extend_topic(self, more: int) -> None:
        self.stage.extend("t", self.stage.topics["t"].partitions + more)

    @invariant()
    def nobody_reads_what_another_reads(self) -> None:
        read = [slot for member in self.members for slot in member.reads if member.epoch > 0]
        assert len(read) == len(set(read))

    @invariant()
    def what_is_in_memory_is_in_the_log(self) -> None:
        if self.stage.groups:
            group, written = self.stage.group(), self.stage.log.restored()["g"]
            for name in ("epoch", "topics_hash", "target_epoch", "members", "targets"):
                assert getattr(group, name) == getattr(written, name), name

    def teardown(self) -> None:
        """Left alone with one member, a group gives it everything."""
        self.stage.log.refuse_writes = None
        self.stage.timers.advance(SESSION_S)
        last = Member(self.stage, "last")
        assert last.join() == 0
        for _ in range(3):
            last.beat()
        assert len(last.reads) == self.stage.topics["t"].partitions
        assert self.stage.group().state == "Stable"


ConsumerGroupLife.TestCase.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None
)
TestConsumerGroupLife = ConsumerGroupLife.TestCase
