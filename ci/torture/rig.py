"""One broker after another over the same directory, each killed or made to fail in a new way.

A round: start the broker, compare with all that is known, `verify` the directory, then choose what
happens to it. After every 25 kills the topics under load are verified deeply and deleted, and new
ones begin.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ci.torture import churn, faults
from ci.torture.broker import Broker
from ci.torture.churn import Churn
from ci.torture.faults import Fault, Reader
from ci.torture.ledger import Wrong
from ci.torture.load import Load
from ci.torture.plan import Action, Call, Plan
from ci.torture.questions import Refused
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.inspect.files import stored_batches
from zerocopy_lab.inspect.verification import verify

KILLS_PER_GENERATION = 25
LONGEST_LOAD_S = 0.4
LONGEST_START_S = 0.2
LONGEST_CHANGE_S = 0.02
LONGEST_STOP_S = 0.05
STOP_TIMEOUT_S = 20
VERIFY_ATTEMPTS = 20
MOST_FAULTS_IN_A_LIFE = 10
FAULTS_WHILE_STARTING = 0.2
RECOVERY_TIMEOUT_S = 10

TRACES = {  # what a kill leaves behind when it interrupts something
    ".cleaned": "kills that met a compaction at work",
    ".swap": "kills that met a compaction in its swap",
    ".deleted": "kills that met segments waiting to be removed",
}
KILLS = {  # kind: of so many in all
    "under load": 5,
    "while it started": 3,
    "while it stopped": 2,
    "in the first commit ever": 1,
    "in create": 3,
    "in delete": 3,
    "in extend": 1,
    "in alter": 2,
    "in commit": 1,
}


class Rig:
    """The rounds, and what was counted. Without the shim's `plan`, kills come at random moments
    instead of at chosen operations.
    """

    def __init__(
        self, directory: Path, seed: str, *, disks: int, plan: Plan | None, only: str = ""
    ) -> None:
        self.figures: Counter[str] = Counter()
        self._directory = directory
        self._disks = directory / "disks"  # what the plan is about: the broker's log is not
        self._disks.mkdir()
        self._data_dirs = [self._disks / f"data{number}" for number in range(disks)]
        self._plan = plan
        self._kills = {kind: weight for kind, weight in KILLS.items() if only in kind}
        self._random = random.Random(seed)
        self._seed = seed
        self._churn = Churn(seed)
        self._load: Load | None = None
        self._renew_at = 0  # kills
        self._operations: Counter[str] = Counter()  # that such a thing takes, by experience
        self._producer_ids: dict[int, str] = {}
        self._history: deque[str] = deque(maxlen=4)

    def history(self) -> str:
        """What was done last."""
        return "; then ".join(self._history)

    def kill(self) -> None:
        """One kill, and what it left is looked at. Raises Wrong."""
        kind = self._random.choices(list(self._kills), list(self._kills.values()))[0]
        self._history.append(f"kill {kind}")
        if kind == "while it started":
            self._kill_while_starting()
        elif kind == "in the first commit ever":
            self._kill_in_the_first_commit()
        else:
            with self._checked_broker() as (broker, port):
                if kind == "under load":
                    self._kill_under_load(broker, port)
                elif kind == "while it stopped":
                    self._kill_while_stopping(broker, port)
                else:
                    self._kill_in_a_change(broker, port, kind.removeprefix("in "))
        self.figures["kills"] += 1
        self.figures[f"kills {kind}"] += 1
        self._count_traces()

    def fail(self, most: int) -> None:
        """Faults in one broker's life, up to so many. Raises Wrong."""
        assert self._plan is not None
        if self._random.random() < FAULTS_WHILE_STARTING:
            self._fail_while_starting(self._plan)
            return
        with self._checked_broker() as (broker, port):
            assert self._load is not None
            reader = Reader(port, list(self._load.ledgers))
            with (
                reader.running(),
                self._load.running(port, may_be_refused=True),
            ):
                for _ in range(min(most, MOST_FAULTS_IN_A_LIFE)):
                    fault = faults.choose(self._random, starting=False)
                    if self._inject(fault, self._plan, port) and not fault.passes:
                        break
                    if broker.ends_within(0):
                        raise Wrong(f"the broker ended with exit code {broker.exit_code}")
            if self._random.random() < 0.3:  # the others are killed
                broker.terminate()
                if not broker.ends_within(STOP_TIMEOUT_S):
                    raise Wrong(f"the broker did not stop within {STOP_TIMEOUT_S} s")

    def _fail_while_starting(self, plan: Plan) -> None:
        fault = faults.choose(self._random, starting=True)
        self._history.append(f"while it started, {fault}")
        fault.arm(plan)
        with self._broker() as broker:
            if broker.port() is None and not plan.fired:
                raise Wrong(f"the broker does not start: exit code {broker.exit_code}")
            self._count_fault(fault, plan)
            self.figures["faults while it started"] += bool(plan.fired)

    def _inject(self, fault: Fault, plan: Plan, port: int) -> bool:
        """Whether it happened. Topics are changed all the while. One that passes must leave all
        writers served.
        """
        self._history.append(str(fault))
        fault.arm(plan)
        give_up = time.monotonic() + LONGEST_LOAD_S
        while not plan.fired and time.monotonic() < give_up:
            try:
                with Wire("127.0.0.1", port) as wire:
                    self._churn.act(wire, self._random.choice(churn.KINDS))
            except Refused:
                self.figures["changes refused by a failing disk"] += 1
            except ConnectionError:
                self.figures["connections that ended with a fault"] += 1
        plan.disarm()
        self._history[-1] += f" at {plan.where or 'nothing'}"
        self._count_fault(fault, plan)
        if plan.fired and fault.passes:
            self._wait_until_served()
        return bool(plan.fired)

    def _count_fault(self, fault: Fault, plan: Plan) -> None:
        if plan.fired:
            self.figures["faults"] += 1
            self.figures[f"faults, {fault.name}"] += 1

    def _wait_until_served(self) -> None:
        assert self._load is not None
        give_up = time.monotonic() + RECOVERY_TIMEOUT_S
        waiting = {writer: writer.figures["batches acknowledged"] for writer in self._load.writers}
        while waiting:
            for writer, before in list(waiting.items()):
                if writer.failure is not None:
                    raise writer.failure
                if writer.figures["batches acknowledged"] > before:
                    del waiting[writer]
            if time.monotonic() > give_up:
                names = ", ".join(writer.name for writer in waiting)
                raise Wrong(f"the fault is over, and {names} is still refused")
            time.sleep(0.005)

    def finish(self) -> None:
        """Everything is compared once more, the broker stopped and its directory verified."""
        self._history.append("a clean stop")
        with self._checked_broker(deep=True) as (broker, _):
            self._stop(broker)
        self._verify(self._data_dirs, deep=True)  # at rest now, its checkpoints and indexes written
        if self._load is not None:
            self._count(self._load)

    def _stop(self, broker: Broker) -> None:
        broker.terminate()
        if not broker.ends_within(STOP_TIMEOUT_S):
            raise Wrong(f"the broker did not stop within {STOP_TIMEOUT_S} s")
        if broker.exit_code:
            raise Wrong(f"the broker stopped with exit code {broker.exit_code}")

    # Brokers

    @contextmanager
    def _broker(self, data_dirs: list[Path] | None = None) -> Iterator[Broker]:
        log_path = self._directory / "broker.log"
        broker = Broker(data_dirs or self._data_dirs, log_path, self._disks, self._plan)
        try:
            yield broker
        finally:
            broker.kill()
            if self._plan is not None:
                self._plan.disarm()

    @contextmanager
    def _checked_broker(self, *, deep: bool = False) -> Iterator[tuple[Broker, int]]:
        """One that listens, after everything was compared with what must be there."""
        with self._broker() as broker:
            port = broker.port()
            if port is None:
                raise Wrong(f"the broker does not start: exit code {broker.exit_code}")
            self._look_after(port, deep=deep)
            yield broker, port

    def _look_after(self, port: int, *, deep: bool) -> None:
        """Checks what the last kill left; sees to it that there are topics to write to."""
        with Wire("127.0.0.1", port) as wire:
            self._churn.check(wire)
            is_old = self.figures["kills"] >= self._renew_at
            if self._load is not None:
                self._load.check(wire, self._data_dirs)
            self._check_producer_ids()
            self._verify(self._data_dirs, deep=deep or is_old)
            if is_old:
                if self._load is not None:
                    self._count(self._load)
                    self._load.delete(wire)
                self.figures["generations of topics"] += 1
                self._renew_at = self.figures["kills"] + KILLS_PER_GENERATION
                self._load = Load(self.figures["generations of topics"], self._seed)
                self._load.create(wire)

    def _check_producer_ids(self) -> None:
        assert self._load is not None or not self._producer_ids
        for writer in self._load.writers if self._load is not None else []:
            if writer.producer_id is not None:
                other = self._producer_ids.setdefault(writer.producer_id, writer.name)
                if other != writer.name:
                    raise Wrong(f"{writer.name} has the producer id of {other}")

    def _verify(self, data_dirs: list[Path], *, deep: bool) -> None:
        """A fault counts when it stays: housekeeping goes on meanwhile and may move a file."""
        for data_dir in data_dirs:
            for _ in range(VERIFY_ATTEMPTS):
                try:
                    found = verify(data_dir, deep=deep)
                except FileNotFoundError:
                    continue
                if not found.faults:
                    self.figures["verified batches"] += found.batches
                    break
            else:
                raise Wrong("\n".join(map(str, found.faults)))

    # Kills

    def _kill_while_starting(self) -> None:
        name = "start"
        self._aim(name)
        with self._broker() as broker:
            if self._plan is None:
                broker.ends_within(self._random.uniform(0, LONGEST_START_S))
                return
            port = broker.port()  # None: the plan was carried out
            self._learn(name)
            if port is None and not self._plan.fired:
                raise Wrong(f"the broker does not start: exit code {broker.exit_code}")

    def _kill_under_load(self, broker: Broker, port: int) -> None:
        assert self._load is not None
        with self._load.running(port):
            if self._plan is not None and self._random.random() < 0.5:
                self._aim("load", at_least=200)
            ended = broker.ends_within(self._random.uniform(0, LONGEST_LOAD_S))
            broker.kill()
        if ended and not (self._plan is not None and self._plan.fired):
            raise Wrong("the broker ended by itself, see its log")

    def _kill_while_stopping(self, broker: Broker, port: int) -> None:
        assert self._load is not None
        with self._load.running(port):
            broker.ends_within(self._random.uniform(0, LONGEST_LOAD_S))
            self._aim("stop")
            broker.terminate()
            if self._plan is None:
                broker.ends_within(self._random.uniform(0, LONGEST_STOP_S))
            elif not broker.ends_within(STOP_TIMEOUT_S):
                raise Wrong(f"the broker did not stop within {STOP_TIMEOUT_S} s")
            self._learn("stop")
            broker.kill()

    def _kill_in_a_change(self, broker: Broker, port: int, kind: str) -> None:
        with Wire("127.0.0.1", port) as wire:
            self._churn.prepare(wire, kind)
            self._aim(kind)
            timer = (
                broker.kill_in(self._random.uniform(0, LONGEST_CHANGE_S))
                if (self._plan is None)
                else None
            )
            try:
                self._churn.act(wire, kind)
            except ConnectionError:
                pass  # it was killed: that is what this is about
            finally:
                self._learn(kind)
                if timer is not None:
                    timer.join()

    def _kill_in_the_first_commit(self) -> None:
        """In a directory of its own, since that comes once in a broker's life."""
        data_dirs = [self._disks / "fresh"]
        shutil.rmtree(data_dirs[0], ignore_errors=True)
        fresh = Churn(f"{self._seed} {self.figures['kills']}")
        with self._broker(data_dirs) as broker:
            if (port := broker.port()) is None:
                raise Wrong(f"the broker does not start: exit code {broker.exit_code}")
            with Wire("127.0.0.1", port) as wire:
                self._aim("first commit", within="__consumer_offsets")
                try:
                    fresh.act(wire, "create")  # which commits, too
                except ConnectionError:
                    pass
                finally:
                    self._learn("first commit")
        with self._broker(data_dirs) as broker:
            if (port := broker.port()) is None:
                raise Wrong(f"the broker does not start: exit code {broker.exit_code}")
            with Wire("127.0.0.1", port) as wire:
                fresh.check(wire)
                fresh.prepare(wire, "commit")
                fresh.act(wire, "commit")
                churn.check_offsets_topic(wire)
                fresh.check(wire)
            self._stop(broker)
        self._verify(data_dirs, deep=True)

    def _aim(self, name: str, *, within: str = "", at_least: int = 10) -> None:
        """Kill at one of the operations that such a thing takes: any of them is as likely."""
        if self._plan is not None:
            action = self._random.choice(
                [Action.KILL_BEFORE, Action.KILL_AFTER, Action.KILL_IN_THE_MIDDLE]
            )
            first = self._random.randint(1, max(at_least, self._operations[name]) + 1)
            self._plan.arm(Call.CHANGE, action, first, within=within)

    def _learn(self, name: str) -> None:
        if self._plan is not None:
            reached = bool(self._plan.fired)
            self.figures["kills at a chosen file operation"] += reached
            before = self._operations[name]
            # As many as there were, when it came to its end; more than that, when it did not.
            self._operations[name] = max(before, self._plan.seen) if reached else self._plan.seen
            self._history[-1] += (
                f", at operation {self._plan.seen}: {self._plan.where or 'not reached'}"
            )

    # Figures

    def _count_traces(self) -> None:
        """What the kill interrupted, as the files show before anything is repaired."""
        partitions = [path for data_dir in self._data_dirs for path in data_dir.glob("*-*/")]
        names = [path.name for partition in partitions for path in partition.glob("*")]
        for suffix, meaning in TRACES.items():
            self.figures[meaning] += any(name.endswith(suffix) for name in names)
        for partition in partitions:
            logs = sorted(partition.glob("*.log"))
            self.figures["torn ends"] += bool(logs) and _is_torn(logs[-1])

    def _count(self, load: Load) -> None:
        for writer in load.writers:
            self.figures.update(writer.figures)


def _is_torn(log: Path) -> bool:
    try:
        return any(found.damage for found in stored_batches(log))
    except CorruptMessage:
        return True
