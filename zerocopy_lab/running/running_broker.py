"""A broker in a process of its own, this kit's or a real Kafka, while a `with` block lasts.

Labs and experiments never run the broker inside the notebook's kernel: only a process of its own
has a CPU time, a number of system calls and a memory that belong to the broker alone, and all of
them are read by its pid.

Bytes reach it as any client's do, through TCP on the loopback interface. Its files are in
`data_dir`, a temporary directory unless one is given, and lie there alike in both kinds:
`data_dir/flights-0/00000000000000000000.log`. Left out compared with a deployment: there
is one broker and no supervisor; if it dies, the next use says so and shows the end of its log.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from zerocopy_lab import __version__
from zerocopy_lab.running import apache_kafka
from zerocopy_lab.running.scratch import ScratchDirectory

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_TETHER = Path(__file__).with_name("tether.py")  # by path: a broker need not import this room
_STOP_TIMEOUT_S = {"zerocopy_lab": 15.0, "kafka": 60.0}
_LOG_TAIL_LINES = 20
_ANNOUNCEMENT = re.compile(r"(?:pid (\d+) )?listening on (\S+):(\d+)")


class BrokerNotRunning(RuntimeError):
    """The broker did not start, or is no longer there; the message holds the end of its log."""


Kind = Literal["zerocopy_lab", "kafka"]
_START_TIMEOUT_S = {"zerocopy_lab": 20.0, "kafka": 120.0}


class RunningBroker:
    """A broker on a free port of `host`, stopped and cleaned up at the end.

    `kind` "zerocopy_lab" is `python -m zerocopy_lab serve`, "kafka" a real Apache Kafka (see
    `apache_kafka`). `port` 0 takes a free one; `settings` are Kafka's, by name; `options` are
    further words of the command line; `environment` is added to this process's own. A given
    `data_dir` is kept. Raises BrokerNotRunning when it does not announce itself within
    `start_timeout_s` seconds.

    Of ours alone: `transfer` names the strategy that sends files (None: the broker's default),
    `parts` is a directory of parts that take the place of the broker's own. ValueError where a
    Kafka is given them.
    """

    host: str
    port: int

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        kind: Kind = "zerocopy_lab",
        host: str = "127.0.0.1",
        port: int = 0,
        transfer: str | None = None,
        parts: Path | None = None,
        settings: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        start_timeout_s: float | None = None,
    ) -> None:
        if kind == "kafka" and (transfer is not None or parts is not None):
            raise ValueError("a real Kafka has its own way of sending, and its own parts")
        self.kind = kind
        self._workspace = ScratchDirectory("broker")  # goes with us, if nobody closes us
        self.data_dir = data_dir if data_dir is not None else self._workspace.path / "data"
        self.log_path = self._workspace.path / "broker.log"
        words = ["serve" if kind == "zerocopy_lab" else "kafka", "--host", host]
        words += ["--port", str(port), "--data-dir", str(self.data_dir)]
        words += ["--transfer", transfer] if transfer is not None else []
        words += ["--parts", str(parts)] if parts is not None else []
        for name, value in (settings or {}).items():
            words += ["--set", f"{name}={value}"]
        self._command = [sys.executable, "-P", str(_TETHER), *words, *options]
        self._environment = importable_here(environment or {})
        self._start_timeout_s = start_timeout_s or _START_TIMEOUT_S[kind]
        self._process: subprocess.Popen[bytes] | None = None
        self._measured_pid: int | None = None

    @property
    def version(self) -> str:
        """The kit's, or Kafka's."""
        if self.kind == "kafka":
            return apache_kafka.default_version()
        return __version__

    @property
    def bootstrap(self) -> str:
        """HOST:PORT, the way Kafka's clients want it in `bootstrap.servers`."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's process id; BrokerNotRunning when the process has ended."""
        if self._process is None or self._process.poll() is not None:
            raise BrokerNotRunning(f"the broker is not running.\n{self.log_tail()}")
        return self._measured_pid or self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Starts the process and returns when it listens."""
        announced = threading.Event()
        _started.add(self)
        atexit.register(self.close)  # before anybody removes the files it still writes to
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                process_group=0,  # "Interrupt kernel" must not reach the broker
            )
        self._first_line = ""
        self._reader = threading.Thread(target=self._follow_output, args=(announced,), daemon=True)
        self._reader.start()
        in_time = announced.wait(self._start_timeout_s)
        announced_as = _ANNOUNCEMENT.fullmatch(self._first_line.strip())
        if announced_as is None:
            self._end(signal.SIGTERM)
            why = _why_not_started(
                self._first_line, in_time, self._start_timeout_s, self.log_tail()
            )
            self.close()
            raise BrokerNotRunning(why)
        pid, self.host, port = announced_as.groups()
        self.port = int(port)
        self._measured_pid = int(pid) if pid else None  # a JVM is a child of what we started
        return self

    def _follow_output(self, announced: threading.Event) -> None:
        """Keeps the first line, and moves the rest to the log so that a full pipe never stops the
        broker.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        self._first_line = self._process.stdout.readline().decode(errors="replace")
        announced.set()
        with self.log_path.open("ab") as log, self._process.stdout as output:
            shutil.copyfileobj(output, log)

    def log_tail(self) -> str:
        """The last lines of what the broker wrote, for messages."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        lines = text.splitlines()[-_LOG_TAIL_LINES:]
        return "Its log ends:\n" + "\n".join(lines) if lines else "It logged nothing."

    def stop(self, timeout_s: float | None = None) -> int:
        """Asks it to shut down cleanly (SIGTERM) and returns its exit code; kills it if it does
        not follow within `timeout_s` seconds (None: 15, and for a Kafka 60).
        """
        return self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> int:
        """Kill -9: what a crash looks like to the files it leaves."""
        return self._end(signal.SIGKILL)

    def _end(self, ending: signal.Signals, timeout_s: float | None = None) -> int:
        if self._process is None:
            raise BrokerNotRunning("the broker was never started: use a `with` block or start()")
        if self._process.poll() is None:
            os.kill(self._measured_pid or self._process.pid, ending)
        try:
            code = self._process.wait(timeout_s or _STOP_TIMEOUT_S[self.kind])
        except subprocess.TimeoutExpired:
            for pid in {self._measured_pid or self._process.pid, self._process.pid}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            code = self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        self._process.stdin.close()
        return code

    def close(self) -> None:
        """Stops the process if it still runs and removes its log and its temporary data."""
        if self._process is not None:
            self.stop()
        atexit.unregister(self.close)
        self._workspace.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_started: weakref.WeakSet[RunningBroker] = weakref.WeakSet()


def still_running() -> list[str]:
    """Where the brokers listen that this process has started and not stopped yet."""
    return sorted(broker.bootstrap for broker in _started if broker.is_running)


def importable_here(extra: Mapping[str, str]) -> dict[str, str]:
    """Environment for a process in which `zerocopy_lab` is importable from whatever directory."""
    known = [path for path in [os.environ.get("PYTHONPATH")] if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(_PACKAGE_PARENT), *known]), **extra}


def _why_not_started(first_line: str, in_time: bool, timeout_s: float, log_tail: str) -> str:
    if not in_time:
        return f"the broker did not listen within {timeout_s:g} s. {log_tail}"
    if not first_line:
        return f"the broker ended before it listened. {log_tail}"
    return (
        f"the broker should say 'listening on HOST:PORT' first, but said {first_line!r}. {log_tail}"
    )
