import math

import numpy as np
import pytest

from armwise.errors import BadInput, ConfigError
from armwise.features import Categorical, Numeric
from armwise.features.caller import CODE_SCALE, NUMERIC_CLIP, CallerFeatures, signed_place

BLOCK = CallerFeatures(
    [
        Numeric(name="age", centre=40.0, scale=10.0),
        Categorical(name="plan", values=("free", "pro")),
        Categorical(name="city", dimension=4),
    ]
)


def test_places_and_names():
    assert BLOCK.names == ("age", "plan=free", "plan=pro", "city#0", "city#1", "city#2", "city#3")
    vector = BLOCK.vector({"plan": "pro", "age": 55})
    assert vector.tolist() == [1.5, 0.0, CODE_SCALE, 0.0, 0.0, 0.0, 0.0]


def test_what_is_left_out_is_zero():
    assert not BLOCK.vector({}).any()


def test_numbers_are_clipped_and_booleans_count():
    assert BLOCK.vector({"age": 1e300})[0] == NUMERIC_CLIP
    assert CallerFeatures([Numeric(name="vip")]).vector({"vip": True}).tolist() == [1.0]


def test_open_categories_are_hashed_with_a_sign():
    vectors = [BLOCK.vector({"city": city})[3:] for city in ("Oslo", "Rome", "Lima", "Bonn", "\ud800", "")]
    for vector in vectors:
        assert np.count_nonzero(vector) == 1
        assert np.abs(vector).max() == CODE_SCALE
    assert len({tuple(vector) for vector in vectors}) >= 3
    assert {signed_place(str(i), 16)[0] for i in range(400)} == set(range(16))
    assert 120 < sum(signed_place(str(i), 16)[1] > 0 for i in range(400)) < 280


def test_hashing_is_the_same_for_ever():
    assert signed_place("physics", 16) == (11, -1.0)


@pytest.mark.parametrize(
    ("features", "match"),
    [
        ({"agee": 3}, "did you mean 'age'"),
        ({"age": "40"}, "declared numeric, got str '40'"),
        ({"age": math.nan}, "must be finite, got nan"),
        ({"age": None}, "declared numeric, got NoneType"),
        ({"plan": 3}, "declared categorical, got int 3"),
        ({"plan": "prop"}, "did you mean 'pro'"),
    ],
)
def test_wrong_features_are_refused(features, match):
    with pytest.raises(BadInput, match=match):
        BLOCK.vector(features)


def test_a_feature_where_none_is_declared_says_what_to_do():
    with pytest.raises(BadInput, match="declare it where the encoder is made"):
        CallerFeatures().vector({"age": 3})


def test_declarations_may_be_objects():
    declared = CallerFeatures(
        [{"name": "age", "scale": 10}, {"name": "plan", "kind": "categorical", "values": ["free", "pro"]}]
    )
    assert declared.declared == (Numeric(name="age", scale=10), Categorical(name="plan", values=("free", "pro")))


@pytest.mark.parametrize(
    ("declared", "match"),
    [
        ([{"name": "age", "scal": 1}], "did you mean 'scale'"),
        ([{"name": "age", "kind": "numerical"}], "did you mean 'numeric'"),
        ([{"scale": 1}], "needs a name"),
        ([{"name": "age", "scale": 0}], "above zero"),
        ([{"name": "age", "scale": "big"}], "finite number, got 'big'"),
        ([{"name": " "}], "non-empty"),
        ([{"name": "c", "kind": "categorical", "values": "ab"}], "list of strings"),
        ([{"name": "c", "kind": "categorical", "values": ["a", "a"]}], "must not repeat"),
        ([{"name": "c", "kind": "categorical", "dimension": 0}], "from 1 to 256"),
        ([Numeric(name="a"), Numeric(name="a")], "declared twice"),
        (["age"], "got str"),
    ],
)
def test_wrong_declarations_are_refused(declared, match):
    with pytest.raises(ConfigError, match=match):
        CallerFeatures(declared)
