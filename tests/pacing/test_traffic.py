"""How many requests the rest of a day may bring, and what time it is."""

from __future__ import annotations

import pytest

from armwise.pacing import DAY
from armwise.pacing.clock import SLACK_S, Clock, day_of
from armwise.pacing.flight import Flight, Reservation
from armwise.pacing.traffic import Traffic
from helpers import assert_same_state

DAY_0 = 20_000 * DAY


def test_before_anything_came_a_thousand_a_day_are_expected() -> None:
    assert Traffic().left(DAY_0) == pytest.approx(1_000.0)
    assert Traffic().left(DAY_0 + DAY / 2) == pytest.approx(500.0)
    assert Traffic().left(DAY_0 + DAY - 1e-6) == 1.0  # this one, at least


def test_the_first_day_goes_on_as_it_went_lately() -> None:
    traffic = Traffic()
    for i in range(200):
        traffic.arrived(DAY_0 + 10.0 * i)
    assert traffic.left(DAY_0 + 2_000.0) == pytest.approx((DAY - 2_000.0) / 10.0, rel=1e-6)
    for i in range(400):
        traffic.arrived(DAY_0 + 2_000.0 + 1.0 * i)
    assert traffic.left(DAY_0 + 2_400.0) == pytest.approx(DAY - 2_400.0, rel=0.01)


def test_later_days_go_by_the_hours_of_former_ones_and_by_how_busy_today_is() -> None:
    traffic = Traffic()
    for day in range(3):
        for hour, count in ((9, 100), (20, 300)):
            for i in range(count):
                traffic.arrived(DAY_0 + day * DAY + hour * 3_600 + i * 3_600 / count)
    third = DAY_0 + 3 * DAY
    assert traffic.left(third) == pytest.approx(400.0, rel=0.01)
    assert traffic.left(third + 12 * 3_600) == pytest.approx(300.0 * 20 / 120, rel=0.01)  # where is it all?
    for i in range(200):
        traffic.arrived(third + 9 * 3_600 + i * 18.0)  # twice as busy
    assert traffic.left(third + 12 * 3_600) == pytest.approx(300.0 * 220 / 120, rel=0.01)
    assert 10 < traffic.left(third + 23 * 3_600) < 40  # a quiet hour, but not by the present pace


def test_a_state_is_taken_over() -> None:
    one, two = Traffic(), Traffic()
    for i in range(500):
        one.arrived(DAY_0 + 700.0 * i)
    two.restore(one.state())
    one.arrived(DAY_0 + 400_000.0)
    two.arrived(DAY_0 + 400_000.0)
    assert_same_state(two.state(), one.state())


def test_a_small_step_back_is_waited_for_and_a_great_one_believed() -> None:
    clock = Clock()
    assert clock.advance(DAY_0) == DAY_0
    assert clock.read(DAY_0 - SLACK_S) == DAY_0
    assert clock.read(DAY_0 - SLACK_S - 1) == DAY_0 - SLACK_S - 1
    assert clock.last == DAY_0  # reading changes nothing
    assert clock.advance(DAY_0 + 30 * DAY) == DAY_0 + 30 * DAY
    assert clock.advance(DAY_0 + 5) == DAY_0 + 5
    assert (day_of(DAY_0), day_of(DAY_0 - 1e-3), day_of(-1.0)) == (20_000, 19_999, -1)


def test_reservations_are_overdue_after_their_patience_on_either_side_and_bounded() -> None:
    flight = Flight(patience_s=60.0, bound=3)
    for i in range(3):
        flight.open(str(i), Reservation(100.0 + i, 1e-3, None, "chat"))
    assert list(flight.overdue(160.0)) == []
    assert [item.at for item in flight.overdue(161.5)] == [100.0, 101.0]
    assert flight.close("0") is None
    assert flight.close("2") is not None
    for i in range(5):
        flight.open(f"b{i}", Reservation(200.0, 1e-3, None, "chat"))
    assert len(list(flight.overdue(200.0))) == 2  # more than the bound
    assert len(list(flight.overdue(100.0))) == 3  # the clock was ahead by more than the patience
    assert len(flight) == 0
