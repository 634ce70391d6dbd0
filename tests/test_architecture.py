"""The structure that the design promises, held by reading the source."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import armwise

ROOT = Path(armwise.__file__).parent

FLOORS = {
    0: {"errors", "contracts", "arrays"},
    1: {"features", "sensitivity", "rewards", "predictors", "policies", "evaluation"},
    2: {"decider", "constraints", "pacing", "plans", "sessions", "rules", "rollout", "config"},
    3: {"log", "registry", "providers"},
    4: {"learning", "judging", "orchestration", "simulation", "offline", "retraining"},
    5: {"router"},
    6: {"gateway", "cli", "demo", "integrations", "__main__"},
}
"""``testing`` stands beside the floors: it may import anything, nothing may import it but the shells."""

LAZY = {
    "__init__.py",  # the package: names are loaded when first asked for
    "log/__init__.py",  # DuckDB only where a DuckDB log is opened
}
"""The only files that may import parts of armwise from inside a function."""

IMPURE = {"duckdb", "httpx", "requests", "socket", "sqlite3", "redis", "random", "secrets", "time", "threading"}
"""Modules that floors 0 to 2 have no use for: no I/O, no clock, no randomness that is not handed in."""

FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def room_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def floor_of(room: str) -> int | None:
    return next((floor for floor, rooms in FLOORS.items() if room in rooms), None)


def module_of(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return ".".join(["armwise", *(parts[:-1] if parts[-1] == "__init__" else parts)])


MODULES = {module_of(path) for path in FILES}


def type_checking_only(tree: ast.Module) -> set[ast.AST]:
    """Nodes under ``if TYPE_CHECKING:``, which no run ever sees."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }


def imports(path: str) -> list[tuple[str, bool]]:
    """(module, whether inside a function) of every import that runs."""
    tree = ast.parse((ROOT / path).read_text())
    unseen = type_checking_only(tree)
    inner = {
        node
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node in inner) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            base = node.module or ""
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.append((whole if whole in MODULES else base, node in inner))
    return found


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in FILES} - {"__init__", "testing"}
    assert {room for room in rooms if floor_of(room) is None} == set()


@pytest.mark.parametrize("path", FILES)
def test_imports_go_down_only(path: str) -> None:
    here = floor_of(room_of(path))
    for name, _ in imports(path):
        if not name.startswith("armwise.") or here is None:
            continue
        room = name.split(".")[1]
        there = floor_of(room)
        if here < 6:
            assert room != "testing", f"{path} imports {name}"
        assert there is None or there <= here, f"{path} (floor {here}) imports {name} (floor {there})"


@pytest.mark.parametrize("path", FILES)
def test_no_late_import_hides_a_cycle(path: str) -> None:
    late = [name for name, inner in imports(path) if inner and name.split(".")[0] == "armwise"]
    assert not late or path in LAZY, f"{path} imports {late} inside a function"


def test_there_is_no_cycle() -> None:
    graph = {module_of(path): {name for name, _ in imports(path) if name in MODULES} for path in FILES}
    for path in FILES:
        if path in LAZY:
            graph[module_of(path)] = {name for name, inner in imports(path) if not inner and name in MODULES}
    order = list(TopologicalSorter({k: v - {k, "armwise"} for k, v in graph.items()}).static_order())  # CycleError
    assert set(order) == MODULES


@pytest.mark.parametrize("path", [path for path in FILES if floor_of(room_of(path)) in (0, 1, 2)])
def test_the_core_reads_no_environment(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    if path not in ("config/load.py", "__init__.py"):
        assert not any("environ" in ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))


@pytest.mark.parametrize("path", [path for path in FILES if floor_of(room_of(path)) in (0, 1, 2)])
def test_the_core_does_no_io_and_holds_no_chance(path: str) -> None:
    used = {name.split(".")[0] for name, _ in imports(path)} & IMPURE
    assert not used, f"{path} imports {sorted(used)}"
    tree = ast.parse((ROOT / path).read_text())
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    globals_ = {call for call in calls if call.startswith(("np.random.", "numpy.random."))}
    assert globals_ <= {"np.random.default_rng", "np.random.Generator", "np.random.SeedSequence", "np.random.PCG64"}
    assert path == "config/load.py" or not any("os.environ" in call or call == "os.getenv" for call in calls)


def test_no_pickle_is_ever_loaded() -> None:
    for path in FILES:
        names = {name.split(".")[0] for name, _ in imports(path)}
        assert not names & {"pickle", "dill", "cloudpickle", "shelve", "marshal"}, path
        assert "allow_pickle=True" not in (ROOT / path).read_text(), path


BARE = """
import os, socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened at import")
socket.socket.connect = refuse
before = set(os.listdir("."))
import armwise
heavy = {"numpy", "scipy", "duckdb", "wordllama", "river", "httpx", "pyarrow", "pydantic", "vowpal_wabbit_next"}
print(*sorted(heavy & set(sys.modules)))
assert set(os.listdir(".")) == before
armwise.Model
assert not {"duckdb", "wordllama", "river", "httpx"} & set(sys.modules)
"""


def test_a_bare_import_is_light_and_touches_nothing(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", BARE], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == ""
    assert list(tmp_path.iterdir()) == []


def test_the_names_of_the_package_are_there() -> None:
    for name in armwise.__all__:
        assert getattr(armwise, name).__name__ == name
    assert set(armwise.__all__) <= set(dir(armwise))
    with pytest.raises(AttributeError, match="no attribute 'Rooter'"):
        _ = armwise.Rooter


def test_every_test_file_has_a_name_of_its_own() -> None:
    """They are imported by their names alone."""
    names = [
        path.name for path in Path(__file__).parent.rglob("*.py") if path.name not in ("conftest.py", "__init__.py")
    ]
    assert sorted({name for name in names if names.count(name) > 1}) == []
