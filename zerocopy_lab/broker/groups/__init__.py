"""Consumer groups: members, who reads what, committed offsets.

Two protocols, and what they share. In reading order:

    classic_states        the classic protocol as a table: states, events, who may do what
    classic_member        a member, and the values that go in and out
    classic_group         who is in a group, and what they agreed on
    classic_rebalance     what makes a group go from state to state
    classic_coordinator   the checks in front of that: JoinGroup, SyncGroup, Heartbeat, LeaveGroup
    consumer_group        the protocol of KIP-848: members on their way to a target
    assignors             who is to read what, as the broker decides there
    consumer_coordinator  the checks and steps of ConsumerGroupHeartbeat
    offsets               committed offsets of both, and when they are forgotten
    store, records, consumer_records, record_fields      `__consumer_offsets`, byte for byte
    alarm                 the one lock of all groups, and what has to respect it
    *_handlers            messages in, messages out
    wiring                everything put together
"""
