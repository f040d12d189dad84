"""Runs the command line as if the machine could do less.

    python tests/commands/lesser_machine.py cachestat,root doctor --json

| taken away       | how                                                                        |
|------------------|----------------------------------------------------------------------------|
| `cachestat`      | the kernel itself answers ENOSYS to call 451 (a seccomp filter)            |
| `root`           | this process becomes nobody, after its imports                             |
| `perf`, `strace` | a PATH without them                                                        |
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

NOBODY = 65534
TOOLS = ("perf", "strace")


def take_cachestat_away() -> None:
    """A filter of four instructions: load the call's number; if it is 451, answer ENOSYS."""
    load, jump_if_equal, answer = 0x20, 0x15, 0x06
    errno_38, allow = 0x0005_0000 | 38, 0x7FFF_0000
    program = struct.pack("HBBI", load, 0, 0, 0) + struct.pack("HBBI", jump_if_equal, 0, 1, 451)
    program += struct.pack("HBBI", answer, 0, 0, errno_38) + struct.pack(
        "HBBI", answer, 0, 0, allow
    )
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", 4, ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    assert libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0
    assert libc.prctl(set_seccomp, filter_mode, ctypes.create_string_buffer(header)) == 0


def take_root_away() -> None:
    """For good: user, groups and with them all capabilities."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def path_without(missing: set[str], directory: Path) -> str:
    """A PATH with links to the other tools that instruments start, and nothing else."""
    for tool in {"cat", *TOOLS} - missing:
        if found := shutil.which(tool):
            (directory / tool).symlink_to(found)
    return str(directory)


def main() -> int:
    missing, *arguments = sys.argv[1:]
    taken_away = set(missing.split(","))
    unknown = taken_away - {*TAKE_AWAY, *TOOLS}
    assert not unknown, f"cannot take away {unknown}"
    from zerocopy_lab import __main__ as command_line
    from zerocopy_lab.commands import doctor, race, residency  # noqa: F401 - as root

    with tempfile.TemporaryDirectory() as tools:
        os.chmod(tools, 0o755)
        os.environ["PATH"] = path_without(taken_away, Path(tools))
        for name in TAKE_AWAY:
            if name in taken_away:
                TAKE_AWAY[name]()
        exit_code = command_line.main(arguments)
        sys.stdout.flush()
        if "root" in taken_away:  # may not delete what root made: the test's tmp_path is TMPDIR
            os._exit(exit_code)
    return exit_code


TAKE_AWAY: dict[str, Callable[[], None]] = {
    "cachestat": take_cachestat_away,
    "root": take_root_away,
}

if __name__ == "__main__":
    sys.exit(main())
