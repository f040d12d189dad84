"""Everything about consumer groups, put together: what the log told, the rules, the handlers."""

from __future__ import annotations

from zerocopy_lab.broker.addresses import Addresses
from zerocopy_lab.broker.groups.admin_handlers import GroupAdminHandlers
from zerocopy_lab.broker.groups.classic_coordinator import ClassicCoordinator
from zerocopy_lab.broker.groups.consumer_coordinator import ConsumerCoordinator
from zerocopy_lab.broker.groups.consumer_handlers import ConsumerGroupHandlers
from zerocopy_lab.broker.groups.member_handlers import GroupHandlers
from zerocopy_lab.broker.groups.offset_handlers import GroupOffsetHandlers
from zerocopy_lab.broker.groups.offsets import CommittedOffsets
from zerocopy_lab.broker.groups.store import GroupStore
from zerocopy_lab.broker.settings import GroupSettings
from zerocopy_lab.broker.timers import Timers
from zerocopy_lab.log.startup.log_directories import LogDirectories


class Groups:
    """The consumer groups of a broker; reads `__consumer_offsets` when it is made."""

    def __init__(
        self, logs: LogDirectories, timers: Timers, settings: GroupSettings, addresses: Addresses
    ) -> None:
        store = GroupStore(
            logs,
            partition_count=settings.offsets_topic_num_partitions,
            segment_bytes=settings.offsets_topic_segment_bytes,
        )
        restored = store.restore()
        groups = restored.groups
        self.coordinator = ClassicCoordinator(
            timers, store.save_group, groups, settings, store.remove_group
        )
        self.consumers = ConsumerCoordinator(
            self.coordinator.lock, timers, store, groups, logs.topics, settings
        )
        self.offsets = CommittedOffsets(self.coordinator, store, timers, restored.offsets)
        #: Who answers what is asked about groups.
        self.handlers = (
            GroupHandlers(self.coordinator, self.consumers, addresses),
            ConsumerGroupHandlers(self.consumers, logs),
            GroupOffsetHandlers(self.offsets, logs),
            GroupAdminHandlers(self.coordinator, self.offsets),
        )
