"""The broker: its logs, its handlers, its background work. It has never seen a socket.

    broker = Broker(BrokerSettings(log_dirs=(Path("data"),)))
    reply = broker.handle(frame, client)         # what a network thread does for every request

A notebook may do the same and look at the reply: bytes, file slice, bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from zerocopy_lab.broker.access.sasl import SaslHandler
from zerocopy_lab.broker.addresses import Addresses
from zerocopy_lab.broker.admin.absent_features import AbsentFeatures
from zerocopy_lab.broker.admin.cluster import ClusterHandler
from zerocopy_lab.broker.admin.configs import ConfigsHandler
from zerocopy_lab.broker.admin.list_offsets import ListOffsetsHandler
from zerocopy_lab.broker.admin.log_ends import LogEndsHandler
from zerocopy_lab.broker.admin.metadata import MetadataHandler
from zerocopy_lab.broker.admin.producer_ids import ProducerIds
from zerocopy_lab.broker.admin.topic_changes import TopicChanges
from zerocopy_lab.broker.admin.topics import TopicsHandler
from zerocopy_lab.broker.api_versions import ApiVersionsHandler
from zerocopy_lab.broker.cold_reads import ColdReads
from zerocopy_lab.broker.dispatch import Dispatch
from zerocopy_lab.broker.faults import Faults
from zerocopy_lab.broker.fetch import FetchHandler
from zerocopy_lab.broker.groups.wiring import Groups
from zerocopy_lab.broker.housekeeping import Housekeeping
from zerocopy_lab.broker.own_thread import Aside
from zerocopy_lab.broker.produce import ProduceHandler
from zerocopy_lab.broker.settings import BrokerSettings
from zerocopy_lab.broker.timers import TimerThread
from zerocopy_lab.broker.waiting import WaitingFetches
from zerocopy_lab.log.cold_pages import can_tell
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.protocol.framing import FrameHandler
from zerocopy_lab.protocol.versions import ApiKey


class Broker:
    """Opens (and, after a crash, recovers) its log directories; `close` leaves them clean."""

    def __init__(
        self, settings: BrokerSettings, network_configs: Mapping[str, str] | None = None
    ) -> None:
        """`network_configs`: what is set for the network, to be shown to those who ask."""
        self.settings = settings
        self.logs = LogDirectories.open(
            settings.log_dirs, settings.topic_defaults, node_id=settings.node_id
        )
        self.timers = TimerThread()
        self.aside = Aside()
        self.waiting = WaitingFetches(self.timers, self.aside.call_soon)
        self._addresses = Addresses(settings.node_id)
        self.groups = Groups(self.logs, self.timers, settings.groups, self._addresses)
        self.logs.finish_deletions(self.groups.offsets.forget_topic)
        topic_changes = TopicChanges(self.logs, settings, self._topic_is_gone)
        self._housekeeping = Housekeeping(self.logs, settings.log_retention_check_interval_ms)
        self._housekeeping.start()
        sasl = SaslHandler(
            settings.sasl_users,
            self.timers,
            settings.connection_failed_authentication_delay_ms,
        )
        handlers = (
            ProduceHandler(self.logs, self.waiting, self.aside, settings.batch_validation),
            FetchHandler(self.logs, self.waiting, settings.fetch_max_bytes),
            MetadataHandler(self.logs, settings, topic_changes, self._addresses),
            TopicsHandler(self.logs, topic_changes),
            ConfigsHandler(self.logs, settings, network_configs or {}),
            ClusterHandler(self.logs, settings.log_dirs, self._addresses),
            LogEndsHandler(self.logs, self.waiting.appended),
            ListOffsetsHandler(self.logs),
            AbsentFeatures(),
            *self.groups.handlers,
            sasl,
            ProducerIds(self.logs),
        )
        api_versions = ApiVersionsHandler(handlers)
        self.dispatch = Dispatch(
            (*handlers, api_versions), api_versions.refuse, sasl.bare_message, self.aside
        )
        self._cold_reads = None
        if settings.cold_read_threads and can_tell():
            self._cold_reads = ColdReads(settings.cold_read_threads)
            self.dispatch.wrap(ApiKey.fetch, self._cold_reads.around)
        self.faults = Faults(self.timers, self.dispatch)
        #: Answers one request (without its length). The frame may be reused once it returns.
        self.handle: FrameHandler = self.dispatch

    def _topic_is_gone(self, topic: str) -> None:
        self.waiting.topic_is_gone(topic)
        self.groups.offsets.forget_topic(topic)

    def advertise(self, host: str, port: int, protocol: str = "PLAINTEXT") -> None:
        """Tell clients of this listener, from now on, to connect to `host` and `port`."""
        self._addresses.advertise(host, port, protocol)

    def close(self) -> None:
        """Stop the background work and close the logs cleanly."""
        self._housekeeping.stop()
        self.aside.close()
        if self._cold_reads is not None:
            self._cold_reads.close()
        self.timers.close()
        self.logs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
