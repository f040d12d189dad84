"""A broker that leaves with the process that started it.

A notebook's kernel can be killed at any moment (a timeout, "Restart kernel", a closed laptop
lid), and a broker left behind would hold its port, its files and its share of the CPU. So the
kit starts brokers through this module: the parent keeps the other end of our standard input
open, and the kernel closes it for the parent however the parent dies. The end of standard input
then asks this very process to stop, as SIGTERM from a shell would.

The broker still runs in this process (its pid is the one that experiments meter), and the waiting
thread sleeps in one blocking read, so it costs nothing while it waits.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def stop_when_input_ends() -> None:
    """Starts the thread that turns the end of standard input into SIGTERM for this process."""
    threading.Thread(target=_wait_for_end, name="tether", daemon=True).start()


def _wait_for_end() -> None:
    while os.read(0, 64):  # nobody writes here; b"" means that the parent is gone
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    from zerocopy_lab.__main__ import main

    stop_when_input_ends()
    sys.exit(main(sys.argv[1:]))
