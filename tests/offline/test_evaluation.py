"""The answer is near the truth, says how sure it is, and is refused where the log has none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from armwise.contracts import Request, Trade
from armwise.errors import BadInput
from armwise.features import VectorEncoder
from armwise.log import DuckDBLog, open_reader
from armwise.log.reading import Reading
from armwise.offline import (
    Candidate,
    LoggedRows,
    Question,
    constant,
    evaluate_log,
    fresh,
    from_snapshot,
    make_candidates,
    pool_of,
    read_rows,
    summary,
)
from armwise.registry import SnapshotStore
from logged_service import COST, MODELS, make_router, serve, true_quality

ABOUT = {"dimension": 4, "feature_version": VectorEncoder(4).version}


def truth(rows: LoggedRows, table: np.ndarray) -> tuple[float, float]:
    """Mean quality and bill of a table of probabilities [n, K], from the world itself."""
    order = [("small", "middle", "large").index(arm) for arm in rows.arms]
    quality = true_quality(rows.vectors.astype(float))[:, order]
    return float((table * quality).sum(axis=1).mean()), float((table * COST[order]).sum(axis=1).mean())


def candidates(log: Reading) -> list[Candidate]:
    pool = pool_of(log)
    return [
        constant("cheap", "small", pool, **ABOUT),
        constant("dear", "large", pool, **ABOUT),
        fresh("learner", {"name": "epsilon", "epsilon": 0.0}, pool, **ABOUT),
    ]


@pytest.mark.parametrize(("estimator", "interval"), [("dr", "normal"), ("snips", "bootstrap"), ("ips", "normal")])
def test_the_truth_is_within_four_standard_errors(log: Reading, estimator: str, interval: str) -> None:
    asked = candidates(log)
    found = evaluate_log(log, asked, Question(estimator=estimator, interval=interval, resamples=200))
    rows = read_rows(log)
    judging = rows.take(slice(1_000, None))
    assert found.rows == 1_000
    assert found.learned == {"cheap": 0, "dear": 0, "learner": 1_000}
    for one in asked:
        quality, cost = truth(judging, one.probabilities(judging))
        for outcome, true in (("quality", quality), ("cost_usd", cost)):
            got = found.estimate(one.name, outcome)
            assert abs(got.value - true) < 4 * got.standard_error + 1e-9
            assert got.lower < got.value < got.upper
    assert found.verdict("cheap") == "worse"
    assert found.verdict("dear") == "better"


def test_utility_is_recomputed_under_any_rates(log: Reading) -> None:
    asked = candidates(log)
    found = evaluate_log(log, asked, Question(rates={"cost_weight": 2.0}))
    assert found.trade == Trade(2.0, 0.0, 1e-3, 1e3)
    for name in ("cheap", "dear", "logging"):
        parts = [found.estimate(name, outcome).value for outcome in ("quality", "cost_usd")]
        assert found.estimate(name, "utility").value == pytest.approx(parts[0] - 2.0 * parts[1] / 1e-3)
    assert found.verdict("dear") == "worse"  # money matters now
    slow = evaluate_log(log, asked[1:2], Question(rates={"latency_weight": 1.0, "cost_weight": 0.0}))
    quality, latency = (slow.estimate("dear", outcome).value for outcome in ("quality", "latency_ms"))
    assert slow.estimate("dear", "utility").value == pytest.approx(quality - latency / 1e3)


def test_intervals_that_always_hold(log: Reading) -> None:
    asked = candidates(log)[:2]
    with pytest.raises(BadInput, match="needs the highest possible value of cost_usd and latency_ms"):
        evaluate_log(log, asked, Question(interval="betting"))
    question = Question(interval="betting", highest={"cost_usd": 0.02, "latency_ms": 2_000.0})
    found = evaluate_log(log, asked, question)
    normal = evaluate_log(log, asked)
    for outcome in ("quality", "utility"):
        wide, narrow = found.estimate("dear", outcome), normal.estimate("dear", outcome)
        assert wide.upper - wide.lower > narrow.upper - narrow.lower
        assert wide.lower < narrow.value < wide.upper
    assert "anytime" in found.estimate("dear", "utility").guarantee


def test_prequential_candidates_are_judged_on_every_row_by_the_rows_before(log: Reading) -> None:
    asked = [fresh("learner", {"name": "epsilon", "epsilon": 0.0}, pool_of(log), **ABOUT)]
    found = evaluate_log(log, asked, Question(prequential=True, refresh=100))
    assert found.rows == found.learned["learner"] == 2_000
    rows = read_rows(log)
    again = fresh("again", {"name": "epsilon", "epsilon": 0.0}, pool_of(log), **ABOUT)
    values = []
    for start in range(0, 2_000, 100):
        block = rows.take(slice(start, start + 100))
        values.append(truth(block, again.probabilities(block))[0])
        again.learn(block)
    got = found.estimate("learner", "quality")
    assert abs(got.value - np.mean(values)) < 4 * got.standard_error


def test_a_snapshot_is_not_judged_by_what_taught_it(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with make_router(path) as router:
        serve(router, 200, seed=1)
        version = router.snapshot()
        serve(router, 300, seed=2)
    assert version is not None
    store = SnapshotStore(f"{path}.snapshots")
    with open_reader(path) as log:
        frozen = from_snapshot("frozen", store.load(version), feature_version=ABOUT["feature_version"])
        assert evaluate_log(log, [frozen]).rows == 300
        newest = make_candidates(["snapshot:latest"], log, summary(log), snapshots=store.directory)
        with pytest.raises(BadInput, match="has learned from all 500 rows"):
            evaluate_log(log, newest)


def test_a_deterministic_log_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "sure.duckdb"
    with make_router(path, policy={"name": "fixed", "arm": "large"}) as router:
        serve(router, 400, narrow=0.0)
    with open_reader(path) as log:
        asked = [constant("cheap", "small", pool_of(log), **ABOUT)]
        found = evaluate_log(log, asked)
        assert found.verdict("cheap") == "refused"
        assert np.isnan(found.estimate("cheap", "quality").value)
        assert "deterministic" in found.evaluation.verdict("cheap").reasons[0]
        assert np.isfinite(evaluate_log(log, asked, Question(force=True)).estimate("cheap", "quality").value)
        json.dumps(found.to_dict(), allow_nan=False)


def test_a_log_of_one_arm_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.duckdb"
    with make_router(path, models=MODELS[2:]) as router:
        serve(router, 30, narrow=0.0)
    with open_reader(path) as log, pytest.raises(BadInput, match="knows only the arm 'large'"):
        evaluate_log(log, [constant("dear", "large", pool_of(log), **ABOUT)])


def test_names_and_questions_are_checked(log: Reading) -> None:
    cheap = candidates(log)[0]
    with pytest.raises(BadInput, match="no candidate"):
        evaluate_log(log, [])
    with pytest.raises(BadInput, match="a name of its own, got cheap, cheap"):
        evaluate_log(log, [cheap, cheap])
    with pytest.raises(BadInput, match="'logging' is the policy that wrote the log"):
        evaluate_log(log, [constant("logging", "small", pool_of(log), **ABOUT)])
    with pytest.raises(BadInput, match="split must be above 0 and below 1, got 1"):
        Question(split=1.0)
    with pytest.raises(BadInput, match="refresh must be a whole number"):
        Question(refresh=0)
    with pytest.raises(BadInput, match="unknown exchange rate 'cost_wait'; did you mean 'cost_weight'"):
        Question(rates={"cost_wait": 1.0})
    with pytest.raises(BadInput, match="cost_weight must be a finite number of at least 0, got nan"):
        Question(rates={"cost_weight": float("nan")})
    with pytest.raises(BadInput, match="slices must be of"):
        Question(slices=("phase",))


def test_a_log_with_impossible_propensities_is_refused(tmp_path: Path) -> None:
    for name, change, message in (
        ("zero", {"propensity": 0.0}, r"propensity is outside \(0, 1\] in 1 of"),
        ("over", {"propensity": 1.5}, r"propensity is outside \(0, 1\] in 1 of"),
        ("sum", {"probability_of": np.array([0.5, 0.5, 0.5])}, "rows sum to one within 0.5"),
    ):
        path = tmp_path / f"{name}.duckdb"
        with make_router(path) as router:
            serve(router, 60, narrow=0.0)
            decision = router.decide(_request())
            router._log.append(decision._replace(id="strange", **change))  # as broken software would have left it
        with open_reader(path) as log, pytest.raises(BadInput, match=message):
            evaluate_log(log, [constant("cheap", "small", pool_of(log), **ABOUT)])


def test_it_works_while_a_service_writes(tmp_path: Path) -> None:
    """The service's process holds the file; another reads what was published, and sees more later."""
    path = tmp_path / "live.duckdb"
    log = DuckDBLog(path)
    router = make_router(log)
    serve(router, 300, seed=1)
    log.publish()
    serve(router, 200, seed=2)  # not published yet
    with open_reader(f"{path}.parquet") as reader:
        assert evaluate_log(reader, [constant("dear", "large", pool_of(reader), **ABOUT)]).rows == 300
    log.publish()
    with open_reader(f"{path}.parquet") as reader:
        assert evaluate_log(reader, [constant("dear", "large", pool_of(reader), **ABOUT)]).rows == 500
    mine = evaluate_log(log, [constant("dear", "large", pool_of(log), **ABOUT)])  # and in the service's own process
    assert mine.rows == 500
    router.close()


def _request() -> Request:
    return Request(vector=np.array([1.0, 0.0, 0.0, 0.0]), input_tokens=10)
