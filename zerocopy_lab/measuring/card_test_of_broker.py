"""A broker's answer over a card whose abilities are switched: ours, or a real Kafka's.

    verdicts = alias_test_of_answers("kafka")        # one for each of card_test.ABILITIES

The broker runs in a network namespace of its own and listens at the cable's end there; a client's
socket on the other host asks it for records, and while its answer is under way they are overwritten
in its segment (`alias_test_over`). Each kind of card is a new cable, and the broker stays.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.measuring.alias_test import alias_test_over
from zerocopy_lab.measuring.card_test import (
    ABILITIES,
    SENDER,
    CardVerdict,
    connected_from_the_other_host,
    in_own_network,
    ip,
)
from zerocopy_lab.running.passing_topic import a_topic, batches_of
from zerocopy_lab.running.running_broker import Kind, RunningBroker

ANSWER = "the answer to a fetch"
_VALUE_BYTES = 20_000


def alias_test_of_answers(kind: Kind) -> list[CardVerdict]:
    """The alias test of a broker's answer for each of ABILITIES. Raises Unavailable."""
    said = in_own_network(["-m", __name__, kind])
    return [CardVerdict(**each) for each in json.loads(said)]


def _all_verdicts(kind: Kind) -> Iterator[CardVerdict]:
    """Inside the namespace."""
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{SENDER}/32", "dev", "lo")  # to listen there before there is a cable
    with RunningBroker(kind=kind, host=SENDER) as broker, a_topic(broker) as topic:
        segment = _with_a_large_record(broker, topic)
        for title, abilities in ABILITIES.items():
            with connected_from_the_other_host(broker.port, abilities) as client:
                found = alias_test_over(client, segment, fetch_frame(Frames(), topic, 0, 0))
            yield CardVerdict(title, ANSWER, found.verdict, found.detail)


def _with_a_large_record(broker: RunningBroker, topic: str) -> Path:
    """The topic's segment, with pages of it to be seen. Raises RuntimeError when it is refused."""
    [batch] = batches_of([bytes(range(250)) * (_VALUE_BYTES // 250)], 1)
    with Wire(broker.host, broker.port) as wire:
        error, _ = produce(wire, topic, 0, batch)
    if error:
        raise RuntimeError(f"the record was refused: Kafka's error {error}")
    [segment] = broker.data_dir.glob(f"{topic}-0/*.log")
    return segment


if __name__ == "__main__":
    [wanted] = sys.argv[1:]
    print(json.dumps([each._asdict() for each in _all_verdicts(wanted)]))  # type: ignore[arg-type]
