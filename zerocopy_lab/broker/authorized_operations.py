"""What everybody may do where there is no authorizer: everything. As a bit field, bit n being
operation n of Kafka's `AclOperation`.

Source: KIP-430; `AclEntry.supportedOperations`, which says what can be done to what.
"""

from __future__ import annotations

from typing import Any

_READ, _WRITE, _CREATE, _DELETE, _ALTER, _DESCRIBE = (1 << bit for bit in range(3, 9))
_CLUSTER_ACTION, _DESCRIBE_CONFIGS, _ALTER_CONFIGS, _IDEMPOTENT_WRITE = (
    1 << bit for bit in range(9, 13)
)
_CONFIGS = _DESCRIBE_CONFIGS | _ALTER_CONFIGS
ON_TOPIC = _READ | _WRITE | _CREATE | _DELETE | _ALTER | _DESCRIBE | _CONFIGS
ON_GROUP = _READ | _DELETE | _DESCRIBE | _CONFIGS
ON_CLUSTER = _CREATE | _ALTER | _DESCRIBE | _CLUSTER_ACTION | _CONFIGS | _IDEMPOTENT_WRITE
NOT_ASKED_FOR = -(1 << 31)


def authorized(request: Any, flag: str, operations: int) -> int:
    """The operations, if the request has this flag set."""
    return operations if getattr(request, flag, False) else NOT_ASKED_FOR
