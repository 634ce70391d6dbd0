"""A candidate does on a logged row what its decider would have done there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from armwise.config import RouterConfig, parse_config
from armwise.contracts import Request, Trade
from armwise.errors import BadInput, SnapshotError
from armwise.features import TextEncoder, VectorEncoder
from armwise.log import open_reader
from armwise.log.reading import Reading
from armwise.offline import constant, fresh, from_config, from_snapshot, pool_of, read_rows
from armwise.offline.candidates import _policy_of, same_rows
from armwise.policies import POLICIES, make_policy
from armwise.registry import SnapshotStore
from logged_service import make_router, serve

ABOUT = {"dimension": 4, "feature_version": VectorEncoder(4).version}


@pytest.mark.parametrize("policy", ["thompson", "squarecb", "linucb", "uniform"])
def test_probabilities_are_those_of_the_decider(log: Reading, policy: str) -> None:
    rows = read_rows(log)
    trade = Trade(0.1, 0.05, 1e-3, 1e3)
    candidate = fresh("c", policy, pool_of(log), trade=trade, **ABOUT)
    candidate.learn(rows.take(slice(0, 400)))
    assert candidate.learned_to == rows.position[399]
    part = rows.take(slice(400, 440))
    made = candidate.probabilities(part)
    assert (made[~part.eligible] == 0).all()
    for i in range(len(part)):
        decision, _ = part.case(i)
        request = Request(arms=frozenset(decision.arms))
        mine = candidate.decider.decide(request, decision.context, id="x", at=0.0, seed=decision.seed)
        expected = [mine.probabilities.get(arm, 0.0) for arm in rows.arms]
        np.testing.assert_allclose(made[i], expected, atol=2e-6)


def test_rates_in_force_are_taken_where_it_has_none(log: Reading) -> None:
    rows = read_rows(log).take(slice(0, 50))
    own = fresh("c", "squarecb", pool_of(log), trade=Trade(0.1, 0.0, 1e-3, 1e3), **ABOUT)
    logged = fresh("c", "squarecb", pool_of(log), **ABOUT)
    np.testing.assert_allclose(own.probabilities(rows), logged.probabilities(rows), atol=1e-6)


def test_a_constant_policy_never_learns(log: Reading) -> None:
    rows = read_rows(log)
    candidate = constant("cheap", "small", pool_of(log), **ABOUT)
    candidate.learn(rows)
    assert candidate.learned_to == 0
    made = candidate.probabilities(rows)
    k = rows.arms.index("small")
    np.testing.assert_array_equal(made[:, k], rows.eligible[:, k])
    np.testing.assert_allclose(made.sum(axis=1), 1.0)
    with pytest.raises(BadInput, match="candidate 'x': unknown arm 'smal'; did you mean 'small'"):
        constant("x", "smal", pool_of(log), **ABOUT)


def test_what_was_learned_offline_is_near_the_truth(log: Reading) -> None:
    candidate = fresh("c", {"name": "epsilon", "epsilon": 0.0}, pool_of(log), trade=Trade(), **ABOUT)
    rows = read_rows(log)
    candidate.learn(rows)
    shares = candidate.probabilities(rows).mean(axis=0)
    assert shares[rows.arms.index("large")] > 0.9  # nothing is taken off for cost


def test_a_snapshot_is_the_service_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with make_router(path, policy="thompson") as router:
        serve(router, 300)
        version = router.snapshot()
        seen = router.decide(Request(vector=np.array([1.0, 0.5, 0.0, 0.0]), input_tokens=100))
    assert version is not None
    snapshot = SnapshotStore(f"{path}.snapshots").load(version)
    candidate = from_snapshot("frozen", snapshot, feature_version=VectorEncoder(4).version)
    with open_reader(path) as log:
        rows = read_rows(log)
    last = rows.take(slice(len(rows) - 1, len(rows)))
    np.testing.assert_allclose(
        candidate.probabilities(last)[0], [seen.probabilities[arm] for arm in rows.arms], atol=1e-6
    )
    assert candidate.learned_to == snapshot.position
    with pytest.raises(SnapshotError, match="was learned from features"):
        from_snapshot("frozen", snapshot, feature_version="text-1")


def test_a_configuration_that_needs_what_the_log_lacks_is_refused(log: Reading) -> None:
    models = [{"name": name, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0} for name in ("small", "huge")]
    config = parse_config({"models": models})
    seen = read_rows(log).arms
    with pytest.raises(BadInput, match="candidate 'c' uses features 'text-"):
        from_config("c", config, pool_of(log), seen=seen, dimension=4, feature_version="vector-4")
    version = from_version(config)
    with pytest.raises(BadInput, match="uses the arm 'huge', which the log has never tried"):
        from_config("c", config, pool_of(log), seen=seen, dimension=4, feature_version=version)


def from_version(config: RouterConfig) -> str:
    return TextEncoder.from_settings(config.features).version


def test_arms_that_it_does_not_have_are_named(log: Reading) -> None:
    rows = read_rows(log)
    only = [arm for arm in pool_of(log) if arm.name == "small"]
    candidate = fresh("thrifty", "thompson", only, **ABOUT)
    with pytest.raises(BadInput, match=r"candidate 'thrifty' has none of the eligible arms on .* its pool is small"):
        candidate.probabilities(rows)
    with pytest.raises(BadInput, match="has no arm to choose from"):
        fresh("none", "thompson", [], **ABOUT)
    with pytest.raises(BadInput, match="takes contexts of 5 features, the log has 4"):
        fresh("wide", "thompson", pool_of(log), dimension=5, feature_version="vector-4").probabilities(rows)


@pytest.mark.parametrize("arms", [3, 70])
def test_rows_are_grouped_by_action_set(arms: int) -> None:
    table = np.random.default_rng(0).random((200, arms)) < 0.9
    found = same_rows(table)
    assert sorted(np.concatenate([at for _, at in found])) == list(range(200))
    for which, at in found:
        assert (table[at] == which).all()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_snapshot_of_any_policy_can_be_built_anew(name: str) -> None:
    policy = make_policy(name, dimension=4, **({"arm": "m"} if name == "fixed" else {}))
    assert dict(_policy_of(policy.spec, 4).spec) == dict(policy.spec)
    with pytest.raises(SnapshotError, match="cannot be built"):
        _policy_of({**policy.spec, "from_the_future": 1}, 4)
