"""What an answer votes for, and which vote wins."""

from __future__ import annotations

from typing import Any

import pytest

from armwise.orchestration.votes import ballot, log_odds, winner


def call(arguments: str, name: str = "f") -> dict[str, Any]:
    return {"tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ({"content": "It is 42.\nAnswer: 42"}, {"content": "answer is: 42."}, True),
        ({"content": "So... #### 42"}, {"content": r"thus \boxed{42}"}, True),
        ({"content": "Answer: 42"}, {"content": "Answer: 43"}, False),
        ({"content": "  Paris.  "}, {"content": "paris"}, True),
        ({"content": '{"answer": 5, "why": "a"}'}, {"content": '{"why": "b", "answer": 5}'}, True),
        ({"content": '{"a": 1, "b": 2}'}, {"content": '{"b": 2, "a": 1}'}, True),
        ({"content": '{"a": 1}'}, {"content": '{"a": 2}'}, False),
        ({"content": "{ not json"}, {"content": "{ not  JSON"}, True),
        (call('{"x": 1, "y": 2}'), call('{"y": 2, "x": 1}'), True),
        (call('{"x": 1}'), call('{"x": 1}', name="g"), False),
        (call('{"x": 1'), call('{"x": 1'), True),
        ({"content": None}, {"content": ""}, True),
    ],
)
def test_answers_that_say_the_same_are_equal(left: dict[str, Any], right: dict[str, Any], same: bool) -> None:
    assert (ballot(left) == ballot(right)) is same


def test_a_pattern_says_what_is_voted_on() -> None:
    assert ballot({"content": "Verdict: A because"}, r"Verdict: (\w)") == "a"
    assert ballot({"content": "nothing"}, r"Verdict: (\w)") == "nothing"


@pytest.mark.parametrize(
    ("ballots", "weights", "position", "share"),
    [
        ("aab", (1, 1, 1), 0, 2 / 3),
        ("abb", (1, 1, 1), 1, 2 / 3),
        ("abb", (3, 1, 1), 0, 3 / 5),
        ("ab", (1, 1), 0, 1 / 2),
        ("ab", (1, 2), 1, 2 / 3),
        ("abb", (2, 1, 1), 0, 1 / 2),
        ("a", (0,), 0, 1.0),
    ],
)
def test_the_heaviest_wins(ballots: str, weights: tuple[float, ...], position: int, share: float) -> None:
    won = winner(list(ballots), weights)
    assert won.position == position
    assert won.share == pytest.approx(share)


def test_weights_are_log_odds_and_never_negative() -> None:
    assert log_odds(0.9) == pytest.approx(2.197, abs=1e-3)
    assert log_odds(0.2) == log_odds(0.0) == 0.05
    assert log_odds(1.0) == log_odds(0.98)
