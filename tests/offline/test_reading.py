"""A log as arrays says what its events say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from armwise.contracts import Decision, Request
from armwise.errors import BadInput
from armwise.features import VectorEncoder
from armwise.log import open_reader
from armwise.log.reading import Reading
from armwise.offline import LoggedRows, pool_of, read_blocks, read_rows, summary
from logged_service import make_router, serve


def test_rows_are_the_decisions(log: Reading) -> None:
    rows = read_rows(log)
    decisions = [(at, event) for at, event in log.events() if isinstance(event, Decision)]
    assert len(rows) == len(decisions) == 2_000
    assert set(rows.arms) == {"small", "middle", "large"}
    for i in (0, 7, 1_999):
        at, decision = decisions[i]
        assert rows.position[i] == at
        assert rows.arms[rows.arm[i]] == decision.arm
        assert rows.propensity[i] == decision.propensity
        there = {rows.arms[k] for k in np.flatnonzero(rows.eligible[i])}
        assert there == set(decision.arms)
        assert dict(zip(rows.arms, rows.probabilities[i], strict=True)) == {
            **dict.fromkeys(rows.arms, 0.0),
            **decision.probabilities,
        }
        np.testing.assert_array_equal(rows.vectors[i], decision.context.vector)
        assert rows.task[i] == decision.context.task
    assert np.isfinite(rows.quality).all()
    assert (rows.cost_usd > 0).all()


def test_a_case_is_what_the_decider_saw(log: Reading) -> None:
    rows = read_rows(log)
    first = next(event for _, event in log.events() if isinstance(event, Decision))
    decision, known = rows.case(0)
    assert (decision.arm, decision.propensity, decision.trade) == (first.arm, first.propensity, first.trade)
    assert decision.probabilities == pytest.approx(first.probabilities)
    at, place = decision.arms.index(decision.arm), first.arms.index(first.arm)
    assert decision.predictions.cost_usd[at] == first.predictions.cost_usd[place]
    assert known.cost_usd == rows.cost_usd[0]


def test_blocks_put_together_are_the_whole(log: Reading) -> None:
    blocks = list(read_blocks(log, block=300))
    assert max(map(len, blocks)) <= 2_048  # DuckDB's own vectors are the least there is
    whole = LoggedRows.concatenate(blocks)
    np.testing.assert_array_equal(whole.position, read_rows(log).position)
    bare = next(read_blocks(log, contexts=False))
    assert bare.dimension == 0


def test_a_stretch_by_position(log: Reading) -> None:
    rows = read_rows(log)
    cut = int(rows.position[999])
    early, late = read_rows(log, until=cut), read_rows(log, after=cut)
    assert (len(early), len(late)) == (1_000, 1_000)
    with pytest.raises(BadInput, match="no decision at positions above"):
        read_rows(log, after=int(rows.position[-1]))


def test_the_pool_has_its_prices(log: Reading) -> None:
    pool = pool_of(log)
    assert [arm.models[0].output_usd_per_mtok for arm in pool] == [0.4, 1.5, 12.0]


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    make_router(tmp_path / "empty.duckdb").close()
    with open_reader(tmp_path / "empty.duckdb") as log, pytest.raises(BadInput, match="holds no decision"):
        summary(log)


def test_mixed_feature_versions_are_refused_unless_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mixed.duckdb"
    with make_router(path) as router:
        serve(router, 20)
        one = router.decide(_request())
        router._log.append(one._replace(id="other", feature_version="vector-of-old"))  # as an older service left it
    with open_reader(path) as log:
        with pytest.raises(BadInput, match=r"mixes feature versions: .*'vector-of-old' \(1 rows\).*name the one"):
            read_rows(log)
        assert len(read_rows(log, feature_version=VectorEncoder(4).version)) == 21
        with pytest.raises(BadInput, match="unknown feature version 'vectr-of-old'; did you mean"):
            read_rows(log, feature_version="vectr-of-old")


def test_duplicate_decisions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.duckdb"
    with make_router(path) as router:
        serve(router, 5)
        router._log.append(router.decide(_request()))  # written twice
    with open_reader(path) as log, pytest.raises(BadInput, match="1 duplicate decisions"):
        read_rows(log)


def _request() -> Request:
    return Request(vector=np.array([1.0, 0.0, 0.0, 0.0]), input_tokens=10)


def test_turns_of_a_session_are_in_the_row_of_the_decision_that_drew(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with make_router(path) as router:
        vector = np.zeros(len(router.encoder.names))
        first, second, alone = (router.decide(Request(vector=vector, session=name)) for name in ("s", "s", "t"))
        router.observe(first.id, quality=1.0)
        router.observe(second.id, quality=0.0)
        router.observe(alone.id, quality=0.25)
        assert second.head == first.id
        router.flush()
        rows = read_rows(router._log)  # type: ignore[arg-type]  # a DuckDB log can be read
    assert len(rows) == 2
    assert rows.quality.tolist() == [0.5, 0.25]
    assert rows.propensity.tolist() == [first.propensity, alone.propensity]


def test_the_usual_rates_are_not_those_of_one_request(log: Reading) -> None:
    rows = read_rows(log)
    odd = replace(rows, cost_weight=np.concatenate((rows.cost_weight[:-1], [1e6])))
    assert odd.trade == rows.trade
    changed = np.where(np.arange(len(rows)) < len(rows) - 1_000, rows.cost_weight, 0.75)
    assert replace(rows, cost_weight=changed).trade.cost_weight == 0.75
