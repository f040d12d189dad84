"""The rules of the house, checked from the sources. Read this to learn what may know what.

A line of code may know only what its room may import: the broker never sees a socket, transfer
never sees an offset, instruments never see Kafka. That keeps each room readable alone.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import zerocopy_lab

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "zerocopy_lab"

# Who may import whom, room by room; a room below another (log.startup) stands for itself. `errors`
# is open to every room but those in KNOW_NOTHING_OF_KAFKA.
CORE = {"file_slice", "records", "log", "protocol", "transfer", "network", "broker"}
WORKSHOP = {"client", "instruments", "placement", "inspect", "conformance", "running", "measuring"}
ROOMS_THAT_MAY_BE_IMPORTED: dict[str, set[str]] = {
    "file_slice": set(),
    "plain_words": set(),
    "checkout": set(),
    "records": set(),
    "transfer": {"file_slice"},
    "protocol": {"file_slice", "records.varint"},
    "log": {"records", "file_slice"},
    "network": {"protocol.framing", "protocol.later", "file_slice", "transfer"},
    "broker": {"protocol", "log", "file_slice"},
    # around the core
    "log.upkeep": {"log", "records", "file_slice", "plain_words"},
    "log.startup": {"log", "log.upkeep", "records", "file_slice"},
    "broker.access": {"broker", "protocol"},
    "broker.groups": {"broker", "protocol", "log", "log.startup", "log.upkeep", "records"},
    "broker.admin": {"broker", "broker.groups", "protocol", "log", "log.startup", "records"},
    "broker.broker": {
        *("broker", "broker.access", "broker.admin", "broker.groups"),
        *("protocol", "log", "log.startup"),
    },
    # the workshop
    "client": {"protocol", "records"},
    "instruments": set(),
    "placement": set(),
    "inspect": {"records", "log", "log.startup", "log.upkeep", "plain_words"},
    "pictures": {"records", "log", "instruments", "inspect", "plain_words"},
    "running": {*CORE, "broker.broker", "instruments", "checkout", "log.startup", "client"},
    "measuring": {
        *("file_slice", "records", "protocol", "transfer", "client", "instruments", "running"),
        *("pictures", "checkout"),
    },
    "conformance": {
        *("file_slice", "records", "transfer", "log", "log.startup", "log.upkeep", "client"),
        *("protocol", "placement", "measuring"),
    },
    # the class
    "classroom": {*WORKSHOP, "pictures", "plain_words", "checkout"},
    "verdict": {"classroom", "instruments", "measuring", "checkout"},
    "lessons": {
        *(*CORE, *WORKSHOP, "log.startup"),
        *("classroom", "verdict", "pictures", "plain_words", "checkout"),
    },
    "publishing": {
        *(*WORKSHOP, "classroom", "verdict", "lessons", "pictures", "plain_words", "checkout"),
    },
    "course": {"classroom", "conformance", "file_slice", "measuring", "running", "transfer"},
    "commands": {
        *CORE, *WORKSHOP, "broker.broker", "broker.admin", "log.startup",
        "classroom", "verdict", "publishing", "pictures", "plain_words", "checkout",
    },
    "__init__": {"classroom"},
    "__main__": {"commands"},
}  # fmt: skip
# Started by its path, it runs the whole command line beside its tether.
ITS_OWN_PROGRAM = {"running/tether.py"}
KNOW_NOTHING_OF_KAFKA = {"instruments", "placement"}
NEVER_SEE_A_SOCKET = {"records", "log", "protocol", "broker", "placement", "pictures"}

NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}

PACKAGE_MODULES = sorted(PACKAGE.rglob("*.py"))
PYTHON_FILES = sorted(
    path for room in ("zerocopy_lab", "tests", "ci", "data") for path in (ROOT / room).rglob("*.py")
)


def shown(path: Path) -> str:
    """A path as test ids and messages name it."""
    return path.relative_to(ROOT).as_posix()


@cache
def syntax_tree(path: Path) -> ast.Module:
    """The parsed source."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def room_of(name: str) -> str:
    """`log.startup` for log.startup.loading, `log` for log.segment, `errors` for errors; a name
    below zerocopy_lab, dotted.
    """
    rooms = [room for room in ROOMS_THAT_MAY_BE_IMPORTED if is_within(name, room)]
    return max(rooms, key=len, default=name.split(".")[0])


def dotted(path: Path) -> str:
    """`log.segment` for zerocopy_lab/log/segment.py, `log` for zerocopy_lab/log/__init__.py."""
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, inside functions too."""
    for node in ast.walk(syntax_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{shown(path)}:{node.lineno}: write imports in full"
            # `from zerocopy_lab import log` imports zerocopy_lab.log
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def is_within(module: str, place: str) -> bool:
    """Whether a dotted name is a place or something in it."""
    return f"{module}.".startswith(f"{place}.")


def may_import(room: str, target: str) -> bool:
    """Whether the table lets a room import `target`, a dotted name below zerocopy_lab."""
    its_room = room_of(target)
    if its_room == room or target == "__version__":
        return True
    if its_room == "errors":
        return room not in KNOW_NOTHING_OF_KAFKA
    allowed = ROOMS_THAT_MAY_BE_IMPORTED[room]
    return its_room in allowed or any(is_within(target, each) for each in allowed - {its_room})


def own_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name, below zerocopy_lab, of what a file imports of this package."""
    for line, name in imported_modules(path):
        if is_within(name, "zerocopy_lab"):
            yield line, name.removeprefix("zerocopy_lab.")


@pytest.mark.parametrize("path", PACKAGE_MODULES, ids=shown)
def test_imports_only_what_its_room_may_know(path: Path) -> None:
    """The table at the top, against every import statement."""
    room = room_of(dotted(path))
    if path.relative_to(PACKAGE).as_posix() in ITS_OWN_PROGRAM:
        return
    forbidden = [
        f"{shown(path)}:{line}: {room} may not import {name}"
        for line, name in own_imports(path)
        if not may_import(room, name)
    ]
    assert not forbidden, "\n".join(forbidden)


def test_no_room_imports_itself_by_a_detour() -> None:
    """The table is a ladder: whoever may be imported by a room may not import it, however far."""
    closed: dict[str, set[str]] = {}

    def rooms_below(room: str, on_the_way: tuple[str, ...] = ()) -> set[str]:
        assert room not in on_the_way, " -> ".join((*on_the_way, room))
        if room not in closed:
            named = {room_of(each) for each in ROOMS_THAT_MAY_BE_IMPORTED.get(room, set())} - {room}
            closed[room] = named.union(*(rooms_below(each, (*on_the_way, room)) for each in named))
        return closed[room]

    for room in ROOMS_THAT_MAY_BE_IMPORTED:
        rooms_below(room)


def test_the_core_imports_no_room_around_it() -> None:
    """The files of the journey know each other and nothing else, except what they are made of."""
    foreign = [
        f"{stop}:{line}: {name}"
        for stop in zerocopy_lab.JOURNEY
        for line, name in own_imports(PACKAGE / stop)
        if room_of(name) not in CORE | {"errors"}
    ]
    assert not foreign, "\n".join(foreign)


@pytest.mark.parametrize("path", sorted((PACKAGE / "lessons").rglob("*.py")), ids=shown)
def test_no_lesson_imports_another_labs(path: Path) -> None:
    """What two labs need is no longer one lab's."""
    own_folder = ".".join(path.relative_to(PACKAGE).parts[:2])
    others = [
        f"{shown(path)}:{line}: {name}"
        for line, name in own_imports(path)
        if name.startswith("lessons.lab") and not is_within(name, own_folder)
    ]
    assert not others, "\n".join(others)


def test_public_classes_have_names_of_their_own() -> None:
    """Who reads `Found` somewhere must not wonder which."""
    places: dict[str, list[str]] = {}
    for path in PACKAGE_MODULES:
        for node in syntax_tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(shown(path))
    assert not {name: where for name, where in places.items() if len(where) > 1}


@pytest.mark.parametrize("path", PACKAGE_MODULES, ids=shown)
def test_the_logger_has_one_name(path: Path) -> None:
    """Everywhere `_LOGGER`, so that a search for it finds all that is ever logged."""
    named = {
        target.id
        for node in syntax_tree(path).body
        if isinstance(node, ast.Assign) and "getLogger" in ast.unparse(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert named <= {"_LOGGER"}, f"{shown(path)}: {named}"


@pytest.mark.parametrize("room", sorted(NEVER_SEE_A_SOCKET))
def test_these_rooms_never_see_a_socket(room: str) -> None:
    """A notebook can call the broker's handlers, since no network is needed for them."""
    for path in (PACKAGE / room).rglob("*.py"):
        networking = [
            f"{shown(path)}:{line}: imports {name}"
            for line, name in imported_modules(path)
            if name.split(".")[0] in {"socket", "ssl", "select", "selectors", "asyncio"}
        ]
        assert not networking, "\n".join(networking)


@pytest.mark.parametrize("room", sorted(KNOW_NOTHING_OF_KAFKA))
def test_instruments_need_the_standard_library_and_psutil(room: str) -> None:
    """So they also work on a real Kafka's process and directory."""
    may_be_imported = sys.stdlib_module_names | {"psutil", "zerocopy_lab"}
    for path in (PACKAGE / room).rglob("*.py"):
        for line, name in imported_modules(path):
            assert name.split(".")[0] in may_be_imported, f"{shown(path)}:{line}: imports {name}"


def test_the_table_names_every_room() -> None:
    """A new room decides what it may know before it does anything else; no room is exempt."""
    rooms = {room_of(dotted(path)) for path in PACKAGE_MODULES}
    known = ROOMS_THAT_MAY_BE_IMPORTED.keys() | {"errors"}
    assert rooms <= known, f"not in the import table: {sorted(rooms - known)}"


@pytest.mark.parametrize("path", PACKAGE_MODULES, ids=shown)
def test_a_module_is_named_for_what_it_holds(path: Path) -> None:
    """Neither a word that says nothing nor the name of a standard module."""
    name = path.stem
    assert name not in NAMES_THAT_SAY_NOTHING, f"{shown(path)}: what does it hold?"
    assert name not in sys.stdlib_module_names, f"{shown(path)}: `{name}` is a standard module"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=shown)
def test_a_file_opens_with_what_it_is_for(path: Path) -> None:
    """A docstring first (a test's name may do); then annotations that cost nothing at run time."""
    tree = syntax_tree(path)
    assert ast.get_docstring(tree) or is_within_tests(path), f"{shown(path)} has no docstring"
    has_code = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body)
    imports_annotations = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )
    assert imports_annotations or not has_code, (
        f"{shown(path)}: add `from __future__ import annotations` at the top"
    )


def is_within_tests(path: Path) -> bool:
    """Whether a file is a test."""
    return path.is_relative_to(ROOT / "tests")


# Written in pieces, so that this file does not hold what it looks for.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("repo", "maven"),
        ("repo1", "maven"),
        ("registry", "npmjs"),
        ("crates", "io"),
        ("proxy", "golang"),
        ("deb", "debian"),
    )
]
# A place on somebody's disk: a home, a scratch directory, a mounted project.
MACHINE_PATH = re.compile(r"(?<![\w.\-/])/(?:work|root|home|Users|tmp)/[\w.]\S*")
TEXT_SUFFIXES = {".py", ".toml", ".txt", ".md", ".ipynb", ".json", ".html", ".yml", ".cfg", ""}
# Made by tools and commands, not in a fresh checkout (.gitignore lists them too).
MADE_HERE = re.compile(
    r"\.git|\.venv|out|build|dist|__pycache__|\.\w+_cache|\.hypothesis|\.ipynb_checkpoints"
)


def text_files() -> Iterator[Path]:
    """Everything in the tree that people read, as a fresh checkout has it."""
    for directory, subdirectories, names in os.walk(ROOT):
        subdirectories[:] = [name for name in subdirectories if not MADE_HERE.fullmatch(name)]
        paths = (Path(directory, name) for name in names if not MADE_HERE.fullmatch(name))
        yield from (path for path in paths if path.suffix in TEXT_SUFFIXES)


def test_no_package_registry_is_named() -> None:
    """Where packages come from is the learner's setting (pip's, Maven's), not this project's."""
    named = [
        f"{shown(path)}: {host}"
        for path in text_files()
        for host in REGISTRY_HOSTS
        if host in path.read_text(encoding="utf-8")
    ]
    assert not named, "\n".join(named)


def test_no_path_of_one_machine() -> None:
    """What works here works in any checkout: paths start at a file, the repository, tmp_path."""
    found = [
        f"{shown(path)}: {match.group()}"
        for path in text_files()
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_the_path_rule_sees_paths() -> None:
    """The pattern finds what it should and leaves web addresses and relative paths alone."""
    assert MACHINE_PATH.search("open('/" + "tmp/x')")
    assert MACHINE_PATH.search("/" + "home/ada/zerocopy_lab")
    assert not MACHINE_PATH.search("https://kafka.apache.org/home/intro, ./tmp/x, and the root /")
