"""Topics that come and go, and what must be true of them whenever the broker is killed.

What was acknowledged is true. What was asked for and not answered is true or not, as a whole: a
topic is there with all its partitions and settings, or it is not there. A group's committed
offsets lie between what was acknowledged and what was sent, and go with their topic: a new one of
the same name begins without.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

from ci.torture import questions
from ci.torture.ledger import Item, Ledger, Wrong
from ci.torture.questions import Refused, TopicState
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.records.record import Record, build_batch

GROUP = "torture"
_NAMES = [f"churn-{number}" for number in range(5)]
_MOST_PARTITIONS = 4
_RECORDS = 20
_SETTINGS = {
    "cleanup.policy": ["compact", "delete"],
    "retention.ms": ["-1", "86400000"],
    "segment.bytes": ["2000000", "3000000"],
    "max.message.bytes": ["500000", "600000"],
}


class State(NamedTuple):
    """What a topic was asked to be."""

    partitions: int
    settings: dict[str, str]


class Topic:
    """What is known of one name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.possible: list[State | None] = [None]  # the last is what was asked for last
        self.topic_id: uuid.UUID | None = None
        self.incarnations = 0
        self.forget()

    def forget(self) -> None:
        """What was in it is of no interest any more."""
        self.topic_id = None
        self.ledger = Ledger(f"{self.name}-0", may_begin_late=False, may_have_gaps=False)
        self.least: dict[int, int] = {}  # acknowledged offsets of the group, by partition
        self.most: dict[int, int] = {}  # sent ones

    @property
    def asked_for(self) -> State | None:
        """What it is, or will be if the request that was not answered came through."""
        return self.possible[-1]


class Churn:
    """Changes topics, and remembers. What is asked for and ends in Refused or OSError may be true
    or not; that topic is left alone until `check` has found out.
    """

    def __init__(self, seed: str) -> None:
        self.topics = {name: Topic(name) for name in _NAMES}
        self._random = random.Random(seed)

    def prepare(self, wire: Wire, kind: str) -> None:
        """Sees to it that `act` finds a topic for this kind of action."""
        if self._fit_for(kind):
            return
        if kind == "create":
            self.act(wire, "delete")
        else:
            self.act(wire, "create")

    def act(self, wire: Wire, kind: str) -> None:
        """One of KINDS, on a topic of which all is known; nothing if there is none."""
        fit = self._fit_for(kind)
        if fit:
            topic = self._random.choice(fit)
            _ACTIONS[kind](self, wire, topic)

    def _fit_for(self, kind: str) -> list[Topic]:
        settled = [topic for topic in self.topics.values() if len(topic.possible) == 1]
        return [topic for topic in settled if (topic.asked_for is None) == (kind == "create")]

    def _create(self, wire: Wire, topic: Topic) -> None:
        settings = {name: self._random.choice(of) for name, of in _SETTINGS.items()}
        partitions = self._random.randint(1, _MOST_PARTITIONS)
        topic.forget()
        wanted = State(partitions, settings)
        self._change(topic, wanted, questions.create_topic, wire, topic.name, settings, partitions)
        self._fill(wire, topic)
        self._commit(wire, topic)

    def _delete(self, wire: Wire, topic: Topic) -> None:
        self._change(topic, None, questions.delete_topic, wire, topic.name)

    def _extend(self, wire: Wire, topic: Topic) -> None:
        assert topic.asked_for is not None
        wanted = topic.asked_for._replace(partitions=topic.asked_for.partitions + 1)
        self._change(topic, wanted, questions.add_partitions, wire, topic.name, wanted.partitions)

    def _alter(self, wire: Wire, topic: Topic) -> None:
        assert topic.asked_for is not None
        name = self._random.choice(list(_SETTINGS))
        value = self._random.choice([*_SETTINGS[name], None])
        settings = {n: v for n, v in topic.asked_for.settings.items() if n != name}
        if value is not None:
            settings[name] = value
        wanted = topic.asked_for._replace(settings=settings)
        self._change(topic, wanted, questions.set_topic, wire, topic.name, name, value)

    def _change(
        self, topic: Topic, wanted: State | None, ask: Callable[..., None], *arguments: object
    ) -> None:
        topic.possible.append(wanted)  # whatever happens to the request
        ask(*arguments)
        topic.possible = [wanted]

    def _fill(self, wire: Wire, topic: Topic) -> None:
        """Some records that only this incarnation has."""
        topic.incarnations += 1
        writer = f"{topic.name}/{topic.incarnations}"
        now_ms = time.time_ns() // 1_000_000  # too young for any retention
        records = [
            Record(n, now_ms + n, b"%d" % n, b"v", (("id", f"{writer}:{n}".encode()),))
            for n in range(_RECORDS)
        ]
        error_code, base_offset = produce(wire, topic.name, 0, build_batch(records))
        if error_code:
            raise Refused(f"write to {topic.name}", error_code)
        items = [Item(writer, n, record.key) for n, record in enumerate(records)]
        topic.ledger.acknowledge(base_offset, items)

    def _commit(self, wire: Wire, topic: Topic) -> None:
        assert topic.asked_for is not None
        offsets = {p: topic.most.get(p, 0) + 1 for p in range(topic.asked_for.partitions)}
        topic.most.update(offsets)
        questions.commit(wire, GROUP, topic.name, offsets)
        topic.least.update(offsets)

    def check(self, wire: Wire) -> None:
        """Compares with what the broker says, which is the truth from now on. Raises Wrong."""
        found = questions.topics(wire)
        offsets = questions.committed(wire, GROUP)
        for topic in self.topics.values():
            self._check_state(topic, found.get(topic.name))
            self._check_offsets(
                topic, {p: offset for (name, p), offset in offsets.items() if name == topic.name}
            )
            if topic.asked_for is not None:
                topic.ledger.check(*questions.read_all(wire, topic.name))
        if "__consumer_offsets" in found:
            check_offsets_topic(wire)

    def _check_state(self, topic: Topic, found: TopicState | None) -> None:
        state = None if found is None else State(found.partitions, dict(found.settings))
        if state not in topic.possible:
            raise Wrong(f"{topic.name} is {state}; it must be one of {topic.possible}")
        if found is None:
            topic.forget()
        elif topic.topic_id not in (None, found.topic_id):
            raise Wrong(f"{topic.name} has another id than before: {found}, not {topic.topic_id}")
        else:
            topic.topic_id = found.topic_id
        topic.possible = [state]

    def _check_offsets(self, topic: Topic, found: dict[int, int]) -> None:
        for partition in found.keys() | topic.most.keys():
            least, most = topic.least.get(partition, -1), topic.most.get(partition, -1)
            offset = found.get(partition, -1)
            if not least <= offset <= most:
                raise Wrong(
                    f"{topic.name}-{partition}: {offset} is committed, which was sent up to {most} "
                    f"and acknowledged up to {least}"
                )
            topic.least[partition] = topic.most[partition] = offset


def check_offsets_topic(wire: Wire) -> None:
    """Whoever lost `compact` would lose every committed offset by and by."""
    policy, _ = questions.topic_settings(wire, "__consumer_offsets")["cleanup.policy"]
    if policy != "compact":
        raise Wrong(f"__consumer_offsets has cleanup.policy={policy}")


_ACTIONS: dict[str, Callable[[Churn, Wire, Topic], None]] = {
    "create": Churn._create,
    "delete": Churn._delete,
    "extend": Churn._extend,
    "alter": Churn._alter,
    "commit": Churn._commit,
}
KINDS = tuple(_ACTIONS)
