"""Bad logs are refused with a sentence that says what came and what is allowed."""

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.evaluation import LoggedFeedback, TargetPolicy, evaluate


def make(**changes):
    fields = {
        "arms": ("a", "b"),
        "arm": np.array([0, 1, 1]),
        "propensity": np.array([0.5, 0.5, 0.25]),
        "outcomes": {"quality": np.array([1.0, 0.0, 1.0])},
    }
    return LoggedFeedback(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"arm": np.array([], dtype=int)}, "log is empty"),
        ({"arms": ("a",)}, "has 1 arm"),
        ({"arms": ("a", "a")}, "repeat"),
        ({"arm": np.array([0, 1, 2])}, r"outside 0\.\.1"),
        ({"arm": np.array([0.0, 1.0, 1.0])}, "integer indices"),
        ({"propensity": np.array([0.0, 0.5, 0.5])}, r"outside \(0, 1\] in 1 of 3"),
        ({"propensity": np.array([1.5, 0.5, 0.5])}, "largest 1.5"),
        ({"propensity": np.array([np.nan, 0.5, 0.5])}, "propensity"),
        ({"propensity": np.array([0.5, 0.5])}, r"shape \(2,\); allowed: \[3\]"),
        ({"outcomes": {}}, "outcomes is empty"),
        ({"outcomes": {"quality": np.array([1.0, np.nan, 0.0])}}, "censored rows are not zeros"),
        ({"outcomes": {"quality": np.array([1.0, np.inf, 0.0])}}, "infinite"),
        ({"outcomes": {"quality": np.full(3, np.nan)}}, "never observed"),
        ({"bounds": {"qualty": (0, 1)}}, "did you mean 'quality'"),
        ({"bounds": {"quality": (0, 0.5)}}, "outside its bounds"),
        ({"eligible": np.array([[True, True], [True, False], [True, True]])}, "1 of 3 rows chose an arm outside"),
        ({"logging_probabilities": np.array([[0.5, 0.4], [0.5, 0.5], [0.75, 0.25]])}, "sum to one within 0.1"),
        ({"logging_probabilities": np.array([[0.4, 0.6], [0.5, 0.5], [0.75, 0.25]])}, "disagree"),
        ({"minimum_propensity": 0.3}, "smallest logged propensity, 0.25"),
        ({"decision_id": np.array(["x", "y", "x"])}, "1 of 3 rows repeat"),
        ({"feature_version": np.array([1, 1, 2])}, "mix feature versions"),
        ({"features": np.array([[1.0], [np.nan], [0.0]])}, "all finite"),
    ],
)
def test_a_bad_log_is_refused(changes, text):
    with pytest.raises(BadInput, match=text):
        make(**changes)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (np.ones((3, 3)) / 3, r"shape \(3, 3\); allowed: \[3, 2\]"),
        (np.full((3, 2), 0.4), "no probability over the arms"),
        (np.array([[1.5, -0.5]] * 3), "no probability over the arms"),
        (np.array([[np.nan, 1.0]] * 3), "no probability over the arms"),
        (np.array([0, 1, 2]), r"outside 0\.\.1"),
        (np.array([0, 1]), "allowed: integers"),
    ],
)
def test_a_bad_target_is_refused(target, text):
    with pytest.raises(BadInput, match=text):
        evaluate(make(), {"candidate": target})


def test_a_target_may_not_leave_the_action_set():
    feedback = make(eligible=np.array([[True, False], [True, True], [True, True]]))
    with pytest.raises(BadInput, match="outside the action set in 1 of 3"):
        evaluate(feedback, {"candidate": np.full((3, 2), 0.5)})
    with pytest.raises(BadInput, match="outside the action set in 1 of 3"):
        evaluate(feedback, {"candidate": np.array([1, 1, 1])})


def test_names_of_targets():
    with pytest.raises(BadInput, match="logging"):
        TargetPolicy(name="logging", chosen=np.array([0]))
    with pytest.raises(BadInput, match="nothing to evaluate"):
        evaluate(make(), {})


def test_combined_outcome():
    feedback = make(outcomes={"quality": np.array([1.0, 0.0, 1.0]), "cost": np.array([1.0, 2.0, 3.0])})
    utility = feedback.with_combined("utility", {"quality": 1.0, "cost": -0.1}).outcomes["utility"]
    np.testing.assert_allclose(utility, [0.9, -0.2, 0.7])
    assert "utility" not in feedback.outcomes
    with pytest.raises(BadInput, match="did you mean 'cost'"):
        feedback.with_combined("u", {"costs": 1.0})
