"""Decisions: what a request means for the logs, and what to answer.

    broker          everything together
    dispatch        frame -> handler -> answer; the only place where an exception becomes a Kafka error code
    produce         batches into the log
    fetch, waiting  slices out of the log, now or when there are some
    metadata, topics, list_offsets, producer_ids     one module per family of requests
    deferred, timers, housekeeping                   answers to come, deadlines, background work
    settings        what a broker is told before it starts

Nothing here knows a socket: requests come in as views, answers go out as pieces.
"""
