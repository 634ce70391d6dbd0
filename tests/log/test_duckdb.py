"""What is the DuckDB log's own: its file, its errors, its schema, and events that break their contract."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import numpy as np
import pytest
from making_events import make_decision, make_draw, make_events, make_pool_change, make_signal, same

from armwise.contracts import Decision, Event
from armwise.errors import BadInput, LogError
from armwise.log import DuckDBLog, open_reader
from armwise.log.encode import encode
from armwise.log.migrations import MIGRATIONS
from armwise.log.schema import COLUMNS, SCHEMA_VERSION
from armwise.rewards import RewardRules, SignalKind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.duckdb"


# ------------------------------------------------------------------------------------------ files that are no good


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"the directory .*nowhere does not exist; make it first"):
        DuckDBLog(tmp_path / "nowhere" / "log.duckdb")


def test_a_directory_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="that is a directory; name a file"):
        DuckDBLog(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" * 1000])
def test_a_file_that_is_not_a_database(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LogError, match="it is not a DuckDB file"):
        DuckDBLog(path)
    assert path.read_bytes() == content


def test_a_damaged_file(path: Path, rng: np.random.Generator) -> None:
    with DuckDBLog(path) as log:
        for event in make_events(rng, 200):
            log.append(event)
    data = bytearray(path.read_bytes())
    data[4096 : len(data) // 2] = rng.bytes(len(data) // 2 - 4096)
    path.write_bytes(bytes(data))
    with pytest.raises(LogError, match=r"cannot use the log .*log\.duckdb"):
        DuckDBLog(path)


def test_a_database_of_somebody_else(path: Path) -> None:
    with duckdb.connect(str(path)) as other:
        other.execute("CREATE TABLE customers (id INT)")
    for opens in (DuckDBLog, open_reader):
        with pytest.raises(LogError, match=r"not an armwise log \(it holds customers\)"):
            opens(path)
    with duckdb.connect(str(path)) as other:
        assert other.execute("SHOW TABLES").fetchall() == [("customers",)]


def test_a_log_from_a_newer_armwise(path: Path) -> None:
    DuckDBLog(path).close()
    with duckdb.connect(str(path)) as other:
        other.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    for opens in (DuckDBLog, open_reader):
        with pytest.raises(LogError, match=rf"schema version 99.*up to {SCHEMA_VERSION}; upgrade armwise"):
            opens(path)


def test_a_failed_opening_leaves_the_path_free(path: Path) -> None:
    path.write_bytes(b"hello")
    with pytest.raises(LogError):
        DuckDBLog(path)
    path.unlink()
    DuckDBLog(path).close()


def test_a_log_is_opened_once_in_a_process(path: Path) -> None:
    with DuckDBLog(path) as log:
        with pytest.raises(LogError, match="is open in this process already"):
            DuckDBLog(path)
        log.append(make_signal("d"))
        log.flush()
    DuckDBLog(path).close()


@pytest.mark.parametrize("protected", ["file", "directory"])
def test_a_file_that_may_not_be_written(path: Path, protected: str) -> None:
    """Root may write anything, so a process of nobody tries."""
    nobody = 65534
    DuckDBLog(path).close()
    for folder in (path.parent, *path.parent.parents[:2]):
        folder.chmod(0o755)
    (path if protected == "file" else path.parent).chmod(0o444 if protected == "file" else 0o555)
    if protected == "directory":
        path.unlink()
    before = f"import os; os.setuid({nobody})" if os.getuid() == 0 else "pass"
    code = f"""
from armwise.log import DuckDBLog
from armwise.errors import LogError
{before}
try: DuckDBLog({str(path)!r})
except LogError as error: print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    path.parent.chmod(0o755)
    assert "permission denied: let this user read and write" in done.stdout, done.stderr


# ------------------------------------------------------------------------------------------ events that are no good


def breaking(rng: np.random.Generator) -> dict[str, Event]:
    good = make_decision(rng, 0, arms=3)
    return {
        "another length": good._replace(probability_of=np.ones(2) / 2),
        "an arm outside": good._replace(arm="model-99"),
        "no array": good._replace(probability_of=None),  # type: ignore[arg-type]
        "too large": good._replace(context=good.context._replace(input_tokens=2**70)),
        "a negative seed": good._replace(seed=-1),
        "no text": good._replace(tenant=3),  # type: ignore[arg-type]
        "no name": good._replace(excluded={None: "reason"}),  # type: ignore[dict-item]
        "no id": good._replace(id=None),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("case", breaking(np.random.default_rng(0)))
def test_an_event_that_breaks_its_contract_stops_no_other(
    path: Path, rng: np.random.Generator, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = breaking(rng)[case]
    with DuckDBLog(path, interval_s=60) as log:
        sent = [make_decision(rng, 1), bad, make_signal("d"), make_decision(rng, 2)]
        for event in sent:
            log.append(event)
        told = r"1 event\(s\) were lost \(positions 2 to 2\): Decision breaks its contract"
        with pytest.raises(LogError, match=told):
            log.flush()
        log.flush()
        assert [position for position, _ in log.events()] == [1, 3, 4]
        assert log.health.lost == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    with DuckDBLog(path) as log:
        assert log.position == 4
        [gap] = log.gaps()
        assert (gap.first, gap.last, gap.events) == (2, 2, 1)


def test_text_that_has_no_utf8_is_kept_as_its_escape(path: Path, rng: np.random.Generator) -> None:
    with DuckDBLog(path) as log:
        log.append(make_decision(rng, 1)._replace(tenant="a\ud800b"))
        [(_, decision)] = log.events()
        assert isinstance(decision, Decision)
        assert decision.tenant == "a\\ud800b"


# ------------------------------------------------------------------------------------------ the rest


def test_wide_holes_are_jumped_over(path: Path, rng: np.random.Generator) -> None:
    with DuckDBLog(path) as log:
        log.append(make_signal("d", "first"))
        log.flush()
        with log.cursor() as cursor:
            cursor.execute("INSERT INTO gaps VALUES (2, 5000000000, 'pruned', 0.0)")
    with DuckDBLog(path) as log:
        assert log.position == 5_000_000_000
        log.append(make_signal("d", "last"))
        assert [position for position, _ in log.events()] == [1, 5_000_000_001]


def test_the_rules_are_kept_unless_others_are_given(path: Path) -> None:
    def kinds(log: DuckDBLog) -> dict[str, tuple[float | None, ...]]:
        rows = log.query("SELECT * FROM signal_kinds").to_pylist()
        return {row["kind"]: (row["at_zero"], row["at_one"], row["variance"], row["weight"]) for row in rows}

    def window(log: DuckDBLog) -> list[float]:
        return log.query("SELECT final_after_s FROM reward_rules").column(0).to_pylist()

    with DuckDBLog(path) as log:
        assert kinds(log)["quality"] == (0.0, 1.0, 0.0, 1.0)
        assert kinds(log)["error"][:2] == (None, 0.0)
        assert window(log) == [7 * 86_400.0]
    smile = SignalKind(at_zero=0.8, at_one=0.8, reliability=0.5, weight=2.0)
    with DuckDBLog(path, rules=RewardRules(kinds={"smile": smile}, final_after_s=60.0)) as log:
        assert kinds(log) == {"smile": (0.8, 0.8, 0.2, 2.0)}
    with DuckDBLog(path) as log:
        assert kinds(log) == {"smile": (0.8, 0.8, 0.2, 2.0)}
        assert window(log) == [60.0]


def test_a_log_of_the_first_version_is_brought_up_to_date(path: Path, rng: np.random.Generator) -> None:
    decision, signal = make_decision(rng, 1), make_signal("d-000001", "e", "thumbs_up", 1.0)
    with duckdb.connect(path, config={"storage_compatibility_version": "v1.4.0"}) as old:
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        old.execute("INSERT INTO meta VALUES ('log_id', 'old'), ('schema_version', '1')")
        tables, _ = encode([(1, decision), (2, signal), (3, make_pool_change())])
        for name, rows in tables.items():
            old.register("batch", rows)
            columns = ", ".join(
                f'"{column}"'
                for column in rows.column_names
                if column not in ("retracts", "head", "switched", "changed_by") and not column.startswith("candidate")
            )
            old.execute(f"INSERT INTO {name} BY NAME SELECT {columns} FROM batch")
    with pytest.raises(LogError, match=r"schema version 1, older than .*open it for writing once"):
        open_reader(path)
    with DuckDBLog(path) as log:
        log.append(make_draw("d-000001"))
        assert [event for _, event in log.events()][1:] == [signal, make_pool_change(), make_draw("d-000001")]
        [row] = log.query("SELECT quality, judging_probability FROM rewarded").to_pylist()
        assert row == {"quality": 1.0, "judging_probability": None}


def test_policy_versions_are_written_once(path: Path) -> None:
    with DuckDBLog(path) as log:
        log.record_policy("p-1", spec='{"name": "thompson"}', feature_version="f-1", at=1.0)
        log.append(make_signal("d"))
        log.record_policy("p-1", spec="{}", feature_version="f-2", at=2.0)
        log.record_policy("p-2", spec="{}", feature_version="f-2", at=2.0)
        rows = log.query("SELECT version, position, feature_version, spec FROM policy_versions ORDER BY 1").to_pylist()
    assert rows == [
        {"version": "p-1", "position": 0, "feature_version": "f-1", "spec": '{"name": "thompson"}'},
        {"version": "p-2", "position": 1, "feature_version": "f-2", "spec": "{}"},
    ]


def test_no_prompt_has_a_place_in_the_schema() -> None:
    assert not {"prompt", "messages", "text", "content"} & {name for columns in COLUMNS.values() for name in columns}


def test_many_threads_read_while_one_writes(path: Path, rng: np.random.Generator) -> None:
    events = make_events(rng, 3000)
    decisions = [event for event in events if isinstance(event, Decision)]
    failures: list[BaseException] = []
    with DuckDBLog(path, interval_s=0.001) as log:
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    position = log.position
                    found = [at for at, _ in log.events(max(0, position - 20))]
                    assert found[: min(20, position)] == list(range(max(0, position - 20) + 1, position + 1))
                    log.decision(decisions[0].id)
                    log.signals(decisions[0].id)
                    log.query("SELECT count(*) FROM rewarded")
            except BaseException as error:
                failures.append(error)
                raise

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for event in events:
            log.append(event)
            if rng.random() < 0.01:
                log.flush()
        done.set()
        for reader in readers:
            reader.join()
        assert not failures
        assert all(same(event, sent) for (_, event), sent in zip(log.events(), events, strict=True))


def test_a_bad_query_is_told_in_one_line(path: Path) -> None:
    with DuckDBLog(path) as log, pytest.raises(LogError, match="syntax error") as caught:
        log.query("SELEC arm FROM rewarded")
    assert "\n" not in str(caught.value)


def test_a_log_that_could_not_be_made_leaves_no_stump(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> str:
        raise duckdb.IOException("Could not write file: No space left on device")

    monkeypatch.setattr("armwise.log.database.prepare", full)
    with pytest.raises(LogError, match="the disk is full"):
        DuckDBLog(path)
    assert not path.exists()
    monkeypatch.undo()
    DuckDBLog(path).close()
    monkeypatch.setattr("armwise.log.database.prepare", full)
    with pytest.raises(LogError, match="the disk is full"):
        DuckDBLog(path)
    assert path.exists()  # one that was there before is never removed


def test_a_bad_query_is_a_log_error(path: Path) -> None:
    with DuckDBLog(path) as log, pytest.raises(LogError, match=r"cannot read the log .*nonsense"):
        log.query("SELECT nonsense FROM rewarded")


@pytest.mark.parametrize("option", ["publish_every_s", "publish_every_rows"])
def test_bad_options_are_refused(path: Path, option: str) -> None:
    with pytest.raises(BadInput, match=f"{option} must be above 0, got 0"):
        DuckDBLog(path, **{option: 0})  # type: ignore[arg-type]
    assert not path.exists()


def test_a_collected_log_closes_itself(path: Path) -> None:
    DuckDBLog(path, interval_s=60).append(make_signal("d"))
    with DuckDBLog(path) as log:
        assert log.position == 1
