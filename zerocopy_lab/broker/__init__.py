"""Decisions: what a request means for the logs, and what to answer.

    broker                 everything together
    dispatch               frame -> handler -> answer
    serving                what a handler says of itself: which request, which versions
    api_versions           what is served, and what the rest is told
    produce                batches into the log
    fetch, waiting, waiting_fetch                 slices out of the log: now, or when there are some
    metadata, list_offsets, producer_ids          what clients ask before they produce or fetch
    topics, topic_changes, cluster, ...           what administrators ask
    groups, group_*                               consumer groups and their committed offsets
    sasl*                                         who is it? asked before anything else
    own_thread, timers, housekeeping              costly answers, deadlines, background work
    settings, faults                              what it is told before it starts; errors on demand

Nothing here knows a socket: requests come in as views, answers go out as pieces.
"""
