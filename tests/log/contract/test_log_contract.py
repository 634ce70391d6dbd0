"""What every log promises. A new log joins by one line in ``LOGS``."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making_events import make_attempt, make_decision, make_events, make_pool_change, make_signal, same

from armwise.contracts import Arm, Decision, Log, Model, PoolChange, Signal
from armwise.errors import BadInput, LogError
from armwise.log import DuckDBLog, MemoryLog

LOGS: dict[str, Callable[[Path], Log]] = {
    "memory": lambda _: MemoryLog(),
    "duckdb": lambda directory: DuckDBLog(directory / "log.duckdb"),
    "duckdb, many commits": lambda directory: DuckDBLog(directory / "log.duckdb", batch=7, interval_s=0.0),
}
LASTING = [name for name in LOGS if name != "memory"]


@pytest.fixture(params=LOGS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    made = LOGS[request.param](tmp_path)
    yield made
    made.close()


def test_positions_count_from_one(log: Log) -> None:
    assert log.position == 0
    assert list(log.events()) == []
    assert [log.append(make_signal("d", str(i))) for i in range(5)] == [1, 2, 3, 4, 5]
    assert log.position == 5


def test_events_come_back_bit_for_bit_and_in_order(log: Log, rng: np.random.Generator) -> None:
    events = make_events(rng, 300)
    positions = [log.append(event) for event in events]
    found = list(log.events())
    assert [position for position, _ in found] == positions
    for (_, event), sent in zip(found, events, strict=True):
        assert same(event, sent), (event, sent)


def test_restored_arrays_are_one_dimensional_float64_and_writable(log: Log, rng: np.random.Generator) -> None:
    log.append(make_decision(rng, 1))
    [(_, decision)] = log.events()
    assert isinstance(decision, Decision)
    for array in (decision.probability_of, *decision.predictions, decision.context.vector):
        assert array.dtype == np.float64
        assert array.ndim == 1
        assert array.flags.writeable


@pytest.mark.parametrize("after", [0, 1, 57, 119, 120, 121, 10_000])
def test_events_after_a_position(log: Log, rng: np.random.Generator, after: int) -> None:
    events = make_events(rng, 120)
    for event in events:
        log.append(event)
    assert [position for position, _ in log.events(after)] == list(range(after + 1, 121))
    assert all(same(event, events[position - 1]) for position, event in log.events(after=after))


@pytest.mark.parametrize("after", [-1, 1.5, "3", None, True])
def test_after_must_be_a_position(log: Log, after: Any) -> None:
    with pytest.raises(BadInput, match="after must be a position"):
        log.events(after)


def test_reading_ends_with_what_there_was_at_the_call(log: Log, rng: np.random.Generator) -> None:
    log.append(make_decision(rng, 1))
    reading = log.events()
    log.append(make_decision(rng, 2))
    assert [position for position, _ in reading] == [1]


def test_a_reader_may_append_and_look_up_while_it_reads(log: Log, rng: np.random.Generator) -> None:
    for number in range(20):
        log.append(make_decision(rng, number))
    for position, event in log.events():
        assert isinstance(event, Decision)
        log.append(make_signal(event.id, "late"))
        found = log.decision(event.id)
        assert found is not None
        assert same(found, event)
        assert log.position == 20 + position


def test_a_repeated_signal_counts_once_and_the_first_holds(log: Log, rng: np.random.Generator) -> None:
    decision = make_decision(rng, 1)
    log.append(decision)
    first, other = make_signal(decision.id, "a", value=0.25), make_signal(decision.id, "b", value=0.5)
    foreign = make_signal("another decision", "a", value=0.75)
    from_elsewhere = Signal(decision_id=decision.id, kind="quality", value=0.1, source="judge", event_id="a")
    repeated = make_signal(decision.id, "a", "cost_usd", 0.75)
    for signal in (first, first, other, repeated, foreign, from_elsewhere, other):
        log.append(signal)
    assert [position for position, _ in log.events()] == [1, 2, 4, 6, 7]
    assert log.signals(decision.id) == [first, other, from_elsewhere]
    log.flush()
    assert log.signals(decision.id) == [first, other, from_elsewhere]
    # Even where the first of them lies before what is read.
    assert [position for position, _ in log.events(after=2)] == [4, 6, 7]
    assert [position for position, _ in log.events(after=4)] == [6, 7]
    assert log.position == 8


def test_signals_before_a_position(log: Log) -> None:
    signals = [make_signal("d", str(i)) for i in range(4)]
    for signal in signals:
        log.append(signal)
    assert log.signals("d", before=3) == signals[:2]
    assert log.signals("d", before=1) == []
    assert log.signals("d", before=99) == signals
    assert log.signals("nobody") == []


def test_decisions_are_found_before_and_after_they_are_durable(log: Log, rng: np.random.Generator) -> None:
    decisions = [make_decision(rng, number) for number in range(50)]
    for decision in decisions:
        log.append(decision)
    for _ in range(2):
        for decision in decisions[::10]:
            found = log.decision(decision.id)
            assert found is not None
            assert same(found, decision)
        log.flush()
    assert log.decision("nobody") is None


def test_threads_append_without_losing_or_mixing(log: Log, rng: np.random.Generator) -> None:
    streams = [[make_signal(f"stream-{s}", f"e-{i}", value=i) for i in range(300)] for s in range(4)]
    returned: list[list[int]] = [[] for _ in streams]

    def send(stream: int) -> None:
        for i, signal in enumerate(streams[stream]):
            returned[stream].append(log.append(signal))
            if i % 100 == 0:
                log.flush()

    threads = [threading.Thread(target=send, args=(stream,)) for stream in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = dict(log.events())
    assert sorted(found) == list(range(1, 1201))
    for signals, positions in zip(streams, returned, strict=True):
        assert positions == sorted(positions)
        assert [found[position] for position in positions] == signals


@pytest.mark.parametrize(
    "vector",
    [
        np.empty(0),
        np.array([0.0, -0.0, 1e-40, 3.0e38], dtype=np.float32).astype(np.float64),
        np.array([0.1, 1e300, 5e-324]),  # what float32 cannot hold comes back all the same
    ],
    ids=["empty", "float32", "float64"],
)
def test_any_finite_context_comes_back(log: Log, rng: np.random.Generator, vector: np.ndarray) -> None:
    sent = [make_decision(rng, number) for number in range(3)]
    sent[1] = sent[1]._replace(context=sent[1].context._replace(vector=vector))
    for decision in sent:
        log.append(decision)
    assert all(same(event, decision) for (_, event), decision in zip(log.events(), sent, strict=True))


def test_awkward_text_comes_back(log: Log, rng: np.random.Generator) -> None:
    decision = make_decision(rng, 1)._replace(tenant="O'Brien \x00 \n ♞ 𝄞", session="", id='"; DROP TABLE decisions;--')
    log.append(decision)
    log.append(make_signal(decision.id, "'"))
    [(_, found), (_, signal)] = log.events()
    assert same(found, decision)
    assert log.signals(decision.id) == [signal]


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1])
def test_all_64_bits_of_a_seed_come_back(log: Log, rng: np.random.Generator, seed: int) -> None:
    log.append(make_decision(rng, 1)._replace(seed=seed))
    [(_, found)] = log.events()
    assert isinstance(found, Decision)
    assert found.seed == seed


@pytest.mark.parametrize("event", [None, "a decision", {"id": "d"}, 3])
def test_only_events_are_taken(log: Log, event: Any) -> None:
    with pytest.raises(BadInput, match="a log takes Decision, Signal, Attempt, PoolChange, JudgeDraw, SourceChange, "):
        log.append(event)
    assert log.position == 0


def test_an_arm_that_cannot_be_stored_is_refused_at_once(log: Log) -> None:
    arm = Arm("a", models=(Model("m"),), options={"callback": print})
    with pytest.raises(BadInput, match=r"Arm\('a'\)\.options must hold JSON values only"):
        log.append(PoolChange(action="add", arm=arm))
    assert log.position == 0


def test_flush_and_close_can_be_repeated(log: Log) -> None:
    log.flush()
    log.append(make_pool_change())
    log.flush(timeout=30.0)
    log.flush()
    log.close()
    log.close()


def test_a_closed_log_takes_nothing(log: Log) -> None:
    log.append(make_attempt("d"))
    log.close()
    with pytest.raises(LogError, match="closed"):
        log.append(make_attempt("d"))


def test_what_is_secured_stays_readable_and_in_order(log: Log, rng: np.random.Generator) -> None:
    events = make_events(rng, 60)
    log.secure(timeout=10.0)
    for number, event in enumerate(events, 1):
        log.append(event)
        if number % 7 == 0:
            log.secure(timeout=10.0)
    found = list(log.events())
    assert [position for position, _ in found] == list(range(1, 61))
    assert all(same(event, sent) for (_, event), sent in zip(found, events, strict=True))


@pytest.mark.parametrize("name", LASTING)
def test_what_is_secured_survives_a_crash(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """The files as they are at that moment are all that a killed process leaves."""
    (tmp_path / "live").mkdir()
    events = make_events(rng, 90)
    log = LOGS[name](tmp_path / "live")
    for start in (0, 40):
        for event in events[start : start + 40]:
            log.append(event)
        log.secure(timeout=10.0)
    shutil.copytree(tmp_path / "live", tmp_path / "left")
    for event in events[80:]:
        log.append(event)
    log.close()
    again = LOGS[name](tmp_path / "left")
    found = list(again.events())
    again.close()
    assert [position for position, _ in found] == list(range(1, 81))
    assert all(same(event, sent) for (_, event), sent in zip(found, events, strict=False))


@pytest.mark.parametrize("name", LASTING)
def test_a_log_goes_on_where_it_ended(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    events = make_events(rng, 90)
    for start in (0, 30, 60):
        log = LOGS[name](tmp_path)
        assert log.position == start
        for event in events[start : start + 30]:
            log.append(event)
        log.close()
    log = LOGS[name](tmp_path)
    found = list(log.events())
    log.close()
    assert [position for position, _ in found] == list(range(1, 91))
    assert all(same(event, sent) for (_, event), sent in zip(found, events, strict=True))
