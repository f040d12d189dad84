"""Consumer groups: members, rebalances, committed offsets."""
