"""The queue and its thread, with a commit that the test holds in its hand."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from making_events import make_signal

from armwise.errors import BadInput, LogError
from armwise.log.health import Gap
from armwise.log.writer import GroupWriter, Numbered


class Disk:
    """Takes what is committed, or refuses while it is full."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.gaps: list[Gap] = []
        self.batches: list[int] = []
        self.full = False
        self.unfit: set[int] = set()
        self.open = threading.Event()
        self.open.set()

    def commit(self, batch: Sequence[Numbered], gaps: Sequence[Gap]) -> Sequence[Gap]:
        self.open.wait(30)
        if self.full:
            raise LogError("the disk is full")
        refused = [Gap(position, position, "unfit", 0.0) for position, _ in batch if position in self.unfit]
        reach = max([0, *self.positions, *(gap.last for gap in self.gaps)])
        self.positions += [position for position, _ in batch if position not in self.unfit]
        self.gaps += [*gaps, *refused]
        self.batches.append(len(batch))
        first = min([*(position for position, _ in batch), *(gap.first for gap in gaps)])
        assert first == reach + 1, "what is stored must reach up to one position"
        return refused

    @property
    def covered(self) -> list[int]:
        return sorted(self.positions + [at for gap in self.gaps for at in range(gap.first, gap.last + 1)])


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def make(disk: Disk) -> Iterator[Callable[..., GroupWriter]]:
    made: list[GroupWriter] = []

    def build(**options: object) -> GroupWriter:
        made.append(GroupWriter(disk.commit, **{"position": 0, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield build
    disk.full = False
    disk.open.set()
    for writer in made:
        writer.close(abandon=True)


def fill(writer: GroupWriter, count: int) -> list[int]:
    return [writer.append(make_signal("d", str(i))) for i in range(count)]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.002)


def test_positions_go_on_from_what_is_stored(make: Callable[..., GroupWriter], disk: Disk) -> None:
    disk.positions = [41]
    writer = make(position=41)
    assert fill(writer, 2) == [42, 43]
    writer.flush()
    assert disk.positions == [41, 42, 43]


def test_appending_never_waits_and_commits_are_shared(make: Callable[..., GroupWriter], disk: Disk) -> None:
    disk.open.clear()
    writer = make(batch=40, interval_s=0.0)
    fill(writer, 100)
    assert disk.positions == []
    assert writer.health.queued == 100
    disk.open.set()
    writer.flush()
    assert disk.positions == list(range(1, 101))
    assert len(disk.batches) <= 5
    assert max(disk.batches) <= 40


def test_an_idle_event_is_written_without_a_flush(make: Callable[..., GroupWriter], disk: Disk) -> None:
    fill(make(interval_s=0.01), 1)
    until(lambda: disk.positions == [1])


def test_flush_says_why_and_nothing_is_lost(
    make: Callable[..., GroupWriter], disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    writer = make()
    disk.full = True
    fill(writer, 10)
    with pytest.raises(LogError, match=r"the disk is full\. 10 event\(s\) wait in memory"):
        writer.flush()
    health = writer.health
    assert (health.ok, health.queued, health.durable, health.lost) == (False, 10, 0, 0)
    assert health.error == "the disk is full"
    assert health.failing_since is not None
    fill(writer, 5)
    disk.full = False
    writer.flush()
    assert disk.positions == list(range(1, 16))
    health = writer.health
    assert (health.ok, health.queued, health.durable, health.error) == (True, 0, 15, None)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


def test_the_writer_recovers_by_itself(make: Callable[..., GroupWriter], disk: Disk) -> None:
    writer = make(longest_pause_s=0.05)
    disk.full = True
    fill(writer, 3)
    until(lambda: not writer.health.ok)
    disk.full = False
    until(lambda: writer.health.ok)
    assert disk.positions == [1, 2, 3]


def test_past_the_bound_events_are_dropped_aloud(
    make: Callable[..., GroupWriter], disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    writer = make(bound=20, batch=5)
    disk.full = True
    fill(writer, 1)
    until(lambda: not writer.health.ok)
    fill(writer, 100)
    lost = writer.health.lost
    assert 70 < lost <= 100
    assert "events are being LOST" in caplog.text
    with pytest.raises(LogError, match=rf"{lost} event\(s\) are lost"):
        writer.flush()
    disk.full = False
    with pytest.raises(LogError, match=rf"{lost} event\(s\) were lost \(positions \d+ to 101\)"):
        writer.flush()
    writer.flush()  # all that comes later is well again
    fill(writer, 3)
    writer.flush()
    assert disk.covered == list(range(1, 105))
    assert sum(gap.events for gap in disk.gaps) == lost
    assert writer.health.lost == lost
    assert not writer.health.ok


def test_a_burst_waits_for_a_disk_that_works(make: Callable[..., GroupWriter], disk: Disk) -> None:
    writer = make(bound=10, batch=3)
    fill(writer, 2000)
    writer.flush()
    assert disk.positions == list(range(1, 2001))
    assert writer.health.lost == 0


def test_a_disk_that_hangs_is_waited_for_once(make: Callable[..., GroupWriter], disk: Disk) -> None:
    writer = make(bound=5, batch=1, patience_s=0.2)
    disk.open.clear()
    began = time.monotonic()
    fill(writer, 100)
    assert 0.2 <= time.monotonic() - began < 5
    assert writer.health.lost in (94, 95)
    disk.open.set()
    until(lambda: writer.durable == 100)
    fill(writer, 100)  # it works again: none of these is lost
    until(lambda: writer.durable == 200)
    assert writer.health.lost in (94, 95)
    assert disk.covered == list(range(1, 201))


def test_gaps_between_events_are_stored_in_their_place(make: Callable[..., GroupWriter], disk: Disk) -> None:
    """The queue fills, drains by one batch, and fills again: gap, events, gap."""
    disk.open.clear()
    writer = make(bound=4, batch=2, interval_s=0.0, patience_s=0.0)
    fill(writer, 1)
    until(lambda: writer.health.queued == 1 and not writer._queue)  # the thread holds a batch
    fill(writer, 10)
    disk.open.set()
    until(lambda: writer.durable == writer.position)
    fill(writer, 10)
    until(lambda: writer.durable == writer.position)
    assert disk.covered == list(range(1, 22))
    assert disk.gaps[0] == Gap(6, 11, disk.gaps[0].reason, disk.gaps[0].at)


def test_an_event_that_cannot_be_stored_does_not_stop_the_others(
    make: Callable[..., GroupWriter], disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    writer = make()
    disk.unfit = {2}
    disk.open.clear()
    fill(writer, 3)
    threading.Timer(0.05, disk.open.set).start()
    with pytest.raises(LogError, match=r"1 event\(s\) were lost \(positions 2 to 2\): unfit"):
        writer.flush()
    writer.flush()
    assert disk.positions == [1, 3]
    assert (writer.health.lost, writer.health.durable, writer.health.ok) == (1, 3, False)
    assert "could not store event 2" in caplog.text


def test_a_bug_in_the_commit_does_not_kill_the_thread(make: Callable[..., GroupWriter], disk: Disk) -> None:
    broken = True

    def commit(batch: Sequence[Numbered], gaps: Sequence[Gap]) -> Sequence[Gap]:
        if broken:
            raise ZeroDivisionError("oops")
        return disk.commit(batch, gaps)

    writer = GroupWriter(commit, position=0)
    fill(writer, 2)
    with pytest.raises(LogError, match="unexpected ZeroDivisionError in the log's writer: oops"):
        writer.flush()
    broken = False
    writer.close()
    assert disk.positions == [1, 2]


def test_flush_gives_up_in_time(make: Callable[..., GroupWriter], disk: Disk) -> None:
    writer = make()
    disk.open.clear()
    fill(writer, 2)
    with pytest.raises(LogError, match=r"flush gave up after 0\.05 s: 2 event\(s\) wait"):
        writer.flush(timeout=0.05)


def test_close_that_fails_leaves_the_writer_open(make: Callable[..., GroupWriter], disk: Disk) -> None:
    writer = make()
    disk.full = True
    fill(writer, 2)
    with pytest.raises(LogError, match="the disk is full"):
        writer.close()
    assert not writer.closed
    fill(writer, 1)
    disk.full = False
    writer.close()
    assert disk.positions == [1, 2, 3]
    with pytest.raises(LogError, match="closed"):
        fill(writer, 1)


def test_abandoning_closes_whatever_happens(make: Callable[..., GroupWriter], disk: Disk) -> None:
    writer = make()
    disk.full = True
    fill(writer, 2)
    writer.close(abandon=True)
    assert writer.closed
    assert writer.health.queued == 2


@pytest.mark.parametrize("options", [{"bound": 0}, {"batch": 0}])
def test_bad_bounds_are_refused(make: Callable[..., GroupWriter], options: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="bound and batch must be at least 1"):
        make(**options)
