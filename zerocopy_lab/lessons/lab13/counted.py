"""Lab 13: what needs no clock: the alias test, system calls, memory, which requests are answered,
and whether the broker is set as this lab believes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from zerocopy_lab.classroom.notebook_output import box
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured
from zerocopy_lab.lessons.lab13 import page
from zerocopy_lab.lessons.lab13.page import Answer, Answers, answer
from zerocopy_lab.lessons.lab13.two_brokers import OURS, TwoBrokers
from zerocopy_lab.measuring.alias_test import alias_test_of_broker
from zerocopy_lab.measuring.fetch_calls import Calls, calls_per_fetch
from zerocopy_lab.protocol.versions import API_KEYS, ApiKey
from zerocopy_lab.running.broker_config import described

NAMES: Final = (
    "sendfile", "sendto", "recvfrom", "read", "write", "pread64", "epoll_wait", "futex",
    "newfstatat",
)  # fmt: skip
"""System calls that are told by name: each costs its meter a moment."""

APIS: Final = "requests that it answers"


class Believed(NamedTuple):
    """A setting as this lab takes it to be, and the questions whose answers it would change."""

    value: str
    decides: tuple[str, ...]


NEVER: Final = str((1 << 63) - 1)
OF_A_TOPIC: Final = {
    "compression.type": Believed("producer", (page.LOG, page.INDEX)),
    "message.timestamp.type": Believed("CreateTime", (page.LOG,)),
    "flush.messages": Believed(NEVER, (page.P50, page.P99)),
    "flush.ms": Believed(NEVER, (page.P50, page.P99)),
    "index.interval.bytes": Believed("4096", (page.INDEX,)),
    "cleanup.policy": Believed("delete", (page.LOG,)),
}
OF_A_KAFKA: Final = {
    "num.network.threads": Believed("3", (page.HELD_UP,)),
    "num.io.threads": Believed("8", tuple(page.CPU.values())),
    "ssl.enabled.protocols": Believed("TLSv1.2,TLSv1.3", (page.TLS,)),
    "ssl.cipher.suites": Believed("", (page.TLS,)),
    "socket.send.buffer.bytes": Believed("102400", (page.SENDFILES, page.CPU[1 << 20])),
    "background.threads": Believed("10", tuple(page.CPU.values())),
    "queued.max.requests": Believed("500", (page.P99,)),
    "message.max.bytes": Believed("1048588", (page.CPU[1 << 20],)),
}


class Doubt(NamedTuple):
    """A setting that is not as believed: what is not to be concluded from this broker."""

    setting: str
    believed: str
    found: str
    decides: tuple[str, ...]

    def in_words(self) -> str:
        """`compression.type is gzip, not producer: it changes the answers on ...`."""
        return (
            f"{self.setting} is {self.found or 'empty'}, not {self.believed or 'empty'}: it may "
            f"change {', '.join(self.decides)}"
        )


def doubts(two: TwoBrokers) -> list[Doubt]:
    """What the broker that was asked is set to otherwise than this lab believes, by its own words
    (DescribeConfigs). Raises KafkaException.
    """
    broker, topic = two.asked, two.topics[two.asked_name]
    of_topic = doubts_about(described(broker.bootstrap, topic), OF_A_TOPIC)
    if broker.kind == "zerocopy_lab":  # the others are Kafka's threads, its TLS
        return of_topic
    return [*of_topic, *doubts_about(described(broker.bootstrap), OF_A_KAFKA)]


def doubts_about(told: Mapping[str, str], believed: Mapping[str, Believed]) -> list[Doubt]:
    """Each setting that is told and not as believed; what is not told is no difference."""
    return [
        Doubt(name, each.value, told[name], each.decides)
        for name, each in believed.items()
        if told.get(name, each.value) != each.value
    ]


def show_doubts(two: TwoBrokers, found: list[Doubt]) -> None:
    """All as believed, or what is not and what that decides."""
    if not found:
        box("plain", f"{two.asked_name} is set as this lab believes", ["Asked by DescribeConfigs."])
        return
    why = "Nothing is concluded from what these decide."
    label = f"{two.asked_name} is not set as this lab believes"
    box("unsure", label, [*(each.in_words() for each in found), why])


# -- what it answers at all ------------------------------------------------------------------------


def answered_requests(host: str, port: int) -> list[str]:
    """The names of the requests that a broker says it answers (ApiVersions)."""
    with Wire(host, port) as wire:
        told = wire.ask(ApiKey.api_versions, 0).api_keys
    keys = [int(each.api_key) for each in told]
    return [API_KEYS[key].name if key in API_KEYS else f"number_{key}" for key in sorted(keys)]


def left_out(answered: Mapping[str, Answers], kafka: Mapping[str, Answer]) -> list[str]:
    """What a Kafka answers and ours does not."""
    ours, theirs = answered[OURS].get(APIS), kafka.get(APIS)
    if isinstance(ours, Unmeasured) or isinstance(theirs, Unmeasured) or not (ours and theirs):
        return []
    here = str(ours.value).split()
    return [name for name in str(theirs.value).split() if name not in here]


# -- alias test, calls, memory ---------------------------------------------------------------------


def count_them(two: TwoBrokers) -> dict[str, Answers]:
    """The counted answers of each broker, memory apart."""
    return {name: _counted(two, name) for name in two.brokers}


def _counted(two: TwoBrokers, name: str) -> Answers:
    broker, topic = two.brokers[name], two.topics[name]
    found: Answers = {
        APIS: answer(APIS, " ".join(answered_requests(broker.host, broker.port))),
        page.ALIAS: alias_answer(two, name),
    }
    if name in two.started_s:
        found[page.START] = answer(page.START, two.started_s[name], "s")
    calls = calls_per_fetch(broker, topic, NAMES)
    found |= calls_answers(calls)
    if name in two.tls_ports:
        over_tls = calls_per_fetch(broker, topic, NAMES, tls_port=two.tls_ports[name])
        found[page.TLS_SENDFILES] = _sendfiles(page.TLS_SENDFILES, over_tls)
    return found


def alias_answer(two: TwoBrokers, name: str) -> Answer:
    """What arrives when its segment is overwritten under its answer to a fetch of 64 KiB."""
    broker, topic = two.brokers[name], two.topics[name]
    frame = fetch_frame(Frames(), topic, 0, 0, max_bytes=64 << 10)
    try:
        log = segment_of(broker.data_dir, topic)
        found = alias_test_of_broker(broker.host, broker.port, log, frame, probe_bytes=32 << 10)
    except Unavailable as reason:
        return Unmeasured(str(reason))
    except (ConnectionError, TimeoutError, ValueError) as error:
        return Unmeasured(f"the alias test gave no answer: {error}")
    told = ", ".join(f"{count} {kind}" for kind, count in Counter(found.pages).items())
    return answer(page.ALIAS, f"{found.verdict}: {told}")


def segment_of(data_dir: Path, topic: str) -> Path:
    """The first file of partition 0."""
    return data_dir / f"{topic}-0" / f"{0:020d}.log"


def calls_answers(calls: Calls | Unmeasured) -> Answers:
    """All of them in words, and sendfile alone."""
    if isinstance(calls, Unmeasured):
        return {page.CALLS: calls, page.SENDFILES: calls}
    total = sum(calls.values())
    by_name = sorted(calls.items(), key=lambda each: -each[1])
    told = ", ".join(f"{name} {count:.3g}" for name, count in by_name)
    return {
        page.CALLS: answer(page.CALLS, f"{total:.3g} ({told})"),
        page.SENDFILES: _sendfiles(page.SENDFILES, calls),
    }


def _sendfiles(question: str, calls: Calls | Unmeasured) -> Answer:
    return calls if isinstance(calls, Unmeasured) else answer(question, calls.get("sendfile", 0.0))


def memory_of(two: TwoBrokers) -> dict[str, Answer]:
    """The resident memory of each process, in MiB, as it is now."""
    found: dict[str, Answer] = {}
    for name in two.brokers:
        try:
            rss_bytes = psutil.Process(two.brokers[name].pid).memory_info().rss
        except Unavailable as reason:
            found[name] = Unmeasured(str(reason))
            continue
        found[name] = answer(page.MEMORY, rss_bytes >> 20, "MiB")
    return found
