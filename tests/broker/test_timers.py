from __future__ import annotations

import threading

from zerocopy_lab.broker.timers import ManualTimers, TimerThread


def test_timers_ring_in_order_and_at_their_own_moment() -> None:
    timers = ManualTimers()
    rung: list[tuple[str, float]] = []
    timers.call_later(2, lambda: rung.append(("late", timers.now())))
    timers.call_later(1, lambda: rung.append(("early", timers.now())))
    cancelled = timers.call_later(1.5, lambda: rung.append(("never", timers.now())))
    cancelled.cancel()
    timers.advance(0.5)
    assert rung == []
    timers.advance(10)
    assert rung == [("early", 1), ("late", 2)]


def test_a_timer_set_by_a_timer_rings_in_the_same_advance() -> None:
    timers = ManualTimers()
    rung: list[float] = []

    def set_another() -> None:
        timers.call_later(1, lambda: rung.append(timers.now()))

    timers.call_later(1, set_another)
    timers.advance(2)
    assert rung == [2]


def test_cancelled_timers_do_not_pile_up() -> None:
    timers = ManualTimers()
    for _ in range(10_000):
        timers.call_later(3600, lambda: None).cancel()
    assert len(timers._queue) < 1000


def test_the_thread_wakes_up_for_an_earlier_timer_and_survives_a_failing_one() -> None:
    def fail() -> None:
        raise ValueError("a callback with a bug")

    timers = TimerThread()
    try:
        done = threading.Event()
        timers.call_later(3600, lambda: None)
        timers.call_later(0, fail)
        timers.call_later(0.001, done.set)
        assert done.wait(30)
    finally:
        timers.close()
