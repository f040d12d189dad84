"""An answer that is code, and what it reaches for while it is examined.

The exam and the answer share a process, and Python hides nothing from whoever knows it well: the
exam's frames hold the right answers, the package holds our own mechanism. So the answer may import
the standard library and not this package, and the interpreter's own audit events (PEP 578) tell
when it reaches for what no exercise asks for: frames, the collector, files, connections, other
processes. It ends then, and what it reached for is said. That is no proof of innocence: it finds
what is usually done.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, ModuleType
from typing import Any, Final

from zerocopy_lab.classroom.exercises import CODE_NAME

_PACKAGE: Final = "zerocopy_lab"
_WATCHED: Final = (
    *("sys._getframe", "sys._current_frames", "sys._current_exceptions", "sys.settrace"),
    *("sys.setprofile", "sys.addaudithook", "sys.excepthook", "sys.unraisablehook"),
    *("gc.get_objects", "gc.get_referrers", "gc.get_referents", "object.__getattr__"),
    *("object.__setattr__", "object.__delattr__", "compile", "exec", "code.__new__", "ctypes."),
    *("open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir"),
    *("os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.system", "os.exec"),
    *("os.fork", "os.forkpty", "os.spawn", "os.posix_spawn", "os.kill", "os.killpg", "os.putenv"),
    *("subprocess.Popen", "pty.spawn", "shutil.", "glob.glob", "_thread.start_new_thread"),
    *("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "marshal.loads"),
    *("pickle.find_class", "mmap.__new__", "signal.pthread_kill", "setopencodehook"),
)
_ALSO_OF_THE_LIBRARY: Final = ("sys._getframe", "compile", "exec", "object.__")
"""What a named tuple, a dataclass or an enumeration does by itself while it is defined."""
_DEFINERS: Final = ("collections", "dataclasses", "enum", "typing", "functools", "reprlib")
_NO_IMPORT: Final = (
    *(_PACKAGE, "gc", "inspect", "ctypes", "signal", "faulthandler", "importlib"),
    *("threading", "_thread", "multiprocessing"),
)


def later(source: str, exercise_id: str, flag: int) -> Callable[..., Any]:
    """A function that runs the source the first time it is called (in an exam's child) and then
    what it defines as `answer`. Whatever it reaches for is written to the descriptor `flag`.
    """
    loaded: list[Callable[..., Any]] = []

    def answer(*arguments: Any, **named: Any) -> Any:
        if not loaded:
            loaded.append(_load(source, f"<answer {exercise_id}>", flag))
        return loaded[0](*arguments, **named)

    return answer


def _load(source: str, label: str, flag: int) -> Callable[..., Any]:
    code = compile(source, label, "exec", dont_inherit=True)
    module = ModuleType(CODE_NAME)
    sys.modules[CODE_NAME] = module  # where a dataclass looks for its own
    namespace = vars(module)
    namespace["__builtins__"] = _builtins(label, flag)
    sys.addaudithook(_hook(label, flag))
    exec(code, namespace)
    found = namespace.get(CODE_NAME)
    if not callable(found):
        raise NameError(f"there is no function {CODE_NAME} in it")
    function: Callable[..., Any] = found
    return function


def _builtins(label: str, flag: int) -> dict[str, Any]:
    """The builtins, with an `import` that looks at what is asked for."""

    def guarded_import(
        name: str,
        globals_: Mapping[str, object] | None = None,
        locals_: Mapping[str, object] | None = None,
        wanted: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        if name.partition(".")[0] in _NO_IMPORT:
            _end(flag, f"import {name}")
        return builtins.__import__(name, globals_, locals_, wanted, level)

    return {**vars(builtins), "__import__": guarded_import}


def _hook(label: str, flag: int) -> Callable[[str, tuple[Any, ...]], None]:
    """Armed when the answer's module runs: its own `exec` has been audited by then."""
    looking = [False]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if looking[0] or not event.startswith(_WATCHED):
            return
        looking[0] = True
        try:
            if event == "exec" and arguments and getattr(arguments[0], "co_filename", "") == label:
                return  # this very module
            frame = sys._getframe(1)
            if event.startswith(_ALSO_OF_THE_LIBRARY) and _is_a_definer(frame):
                return
            if _was_asked_by(label, frame):
                _end(flag, event)
        finally:
            looking[0] = False

    return hook


def _is_a_definer(frame: FrameType | None) -> bool:
    """A module of the standard library that looks around for a good reason, itself or by way of
    `inspect`.
    """
    while frame is not None and _is_of(frame, "inspect"):
        frame = frame.f_back
    return frame is not None and any(_is_of(frame, name) for name in _DEFINERS)


def _is_of(frame: FrameType, name: str) -> bool:
    """Whether this module's own code runs in the frame, and none that only calls itself so."""
    module = sys.modules.get(name)
    return module is not None and vars(module) is frame.f_globals


def _was_asked_by(label: str, frame: FrameType | None) -> bool:
    """Whether the answer's code is on the stack, and not only because it imports a module."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib"):
            return False
        if name == label:
            return True
        frame = frame.f_back
    return False


def _end(flag: int, what: str) -> None:
    os.write(flag, f"{what}\n".encode())
    os._exit(1)
