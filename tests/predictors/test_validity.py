"""How often calls succeed."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.predictors import ValidityModel

ALL = np.arange(2)


def two_arms() -> ValidityModel:
    model = ValidityModel()
    model.add_arm()
    model.add_arm()
    return model


def test_it_starts_as_expected_and_follows_what_happens() -> None:
    model = two_arms()
    np.testing.assert_allclose(model.predict(ALL), [0.98, 0.98])
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        model.learn(0, bool(rng.random() < 0.6))
    assert model.predict(ALL)[0] == pytest.approx(0.6, abs=0.08)
    assert model.predict(ALL)[1] == pytest.approx(0.98)
    for _ in range(1_000):
        model.learn(0, True)
    assert model.predict(ALL)[0] > 0.97
    other = two_arms()
    other.restore(model.state())
    assert other.predict(ALL).tolist() == model.predict(ALL).tolist()


def test_parameters_out_of_range() -> None:
    with pytest.raises(BadInput, match="validity needs expected"):
        ValidityModel(expected=1.0)
