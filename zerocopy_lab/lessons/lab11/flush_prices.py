"""Lab 11, timed: what each flush policy costs, for each batch that is acknowledged.

A sample is one process that sends the same batches to a topic of each policy, in an order that
chance decides, each batch when the one before is acknowledged. So each round gives ratios of its
own, and what disturbs a round disturbs all policies.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextlib import ExitStack

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.client.producer import produce
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.lessons.lab11.flush_policies import POLICIES, SYSTEM, Broker, flights
from zerocopy_lab.measuring.comparison import Comparison, compare_pairs
from zerocopy_lab.measuring.contestant import Contestant
from zerocopy_lab.measuring.experiment import Outcome, run_experiment
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.running.passing_topic import a_topic

_ROUNDS = 7
_NAME = "a producer that waits"
_MESSAGES = 1500


def measure(broker: Broker, lab: Lab) -> Outcome:
    """The price of each policy at a running broker."""
    with ExitStack() as stack:
        topics = {
            policy: stack.enter_context(a_topic(broker, settings))
            for policy, settings in POLICIES.items()
        }
        settings = {"host": broker.host, "port": broker.port, "topics": topics}
        contestant = Contestant(_NAME, append_by_policies, settings)
        repeats = _ROUNDS if lab.fast else 2 * _ROUNDS
        return run_experiment(
            "flush policies", [contestant], repeats=repeats, warm_ups=1, runs=1, seed=lab.seed
        )


def append_by_policies(
    stopwatch: Stopwatch, host: str, port: int, topics: Mapping[str, str]
) -> dict[str, float]:
    """One sample: milliseconds for each acknowledged batch, by policy. RuntimeError when one is
    refused.
    """
    batches, figures = flights(_MESSAGES), {}
    with Wire(host, port) as wire, stopwatch:
        for policy in random.sample(list(topics), len(topics)):
            began_s = time.perf_counter()
            for batch in batches:
                error, _ = produce(wire, topics[policy], 0, batch)
                if error:
                    raise RuntimeError(f"{policy}: a batch was refused, Kafka's error {error}")
            figures[policy] = (time.perf_counter() - began_s) * 1000 / len(batches)
    return figures


def waits_ms(outcome: Outcome) -> Mapping[str, Spread]:
    """What a batch waits for its acknowledgement, by policy."""
    return {policy: spread(outcome.values(_NAME, policy)) for policy in POLICIES}


def against_system(outcome: Outcome, policy: str) -> Comparison:
    """A policy against leaving it to the system, round by round."""
    pairs = zip(outcome.values(_NAME, policy), outcome.values(_NAME, SYSTEM), strict=True)
    return compare_pairs(policy, SYSTEM, "wait", list(pairs))
