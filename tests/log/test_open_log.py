"""Which log a setting names, and how light the import is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from making_events import make_decision, make_signal

from armwise.errors import BadInput, LogError
from armwise.log import DuckDBLog, MemoryLog, NullLog, open_log
from armwise.rewards import RewardRules


def test_a_path_opens_a_file(tmp_path: Path) -> None:
    for spec in (tmp_path / "a.duckdb", str(tmp_path / "b.duckdb")):
        log = open_log(spec, rules=RewardRules())
        assert isinstance(log, DuckDBLog)
        log.close()
        assert Path(spec).exists()


def test_other_settings() -> None:
    assert isinstance(open_log(None), NullLog)
    assert isinstance(open_log(":memory:"), MemoryLog)
    log = MemoryLog()
    assert open_log(log) is log


@pytest.mark.parametrize("spec", ["", "  ", 3, [], object()])
def test_what_names_no_log(spec: Any) -> None:
    with pytest.raises(BadInput, match="log must be"):
        open_log(spec)


def test_a_log_that_keeps_nothing_says_so(rng: Any) -> None:
    log = NullLog()
    assert list(log.events()) == []
    assert log.append(make_decision(rng, 1)) == 1
    assert log.append(make_signal("d")) == 2
    assert log.position == 2
    assert log.health.ok
    assert log.decision("d-000001") is None
    assert log.signals("d") == []
    assert list(log.events(after=2)) == []
    with pytest.raises(LogError, match="keeps no log: events 1 to 2 cannot be read again"):
        log.events()
    with log, pytest.raises(BadInput):
        log.append("nothing")  # type: ignore[arg-type]
    with pytest.raises(LogError, match="closed"):
        log.append(make_signal("d"))


def test_duckdb_is_imported_when_asked_for() -> None:
    code = """
import sys
import armwise.log
assert armwise.log.open_log(None) is not None
assert not {"duckdb", "pyarrow"} & set(sys.modules), "heavy"
armwise.log.DuckDBLog
assert {"duckdb", "pyarrow"} <= set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_no_attribute() -> None:
    import armwise.log

    with pytest.raises(AttributeError, match="has no attribute 'SQLiteLog'"):
        armwise.log.SQLiteLog  # noqa: B018


def test_a_log_that_lacks_something_is_told_what() -> None:
    class Half:
        position = 0

        def append(self, event: object) -> int:
            return 0

    with pytest.raises(BadInput, match="got Half, which lacks flush, secure, events, decision, signals, close"):
        open_log(Half())  # type: ignore[arg-type]
