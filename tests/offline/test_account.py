"""The account of a log adds up, and says what one arm alone would have been."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from armwise.cli import app
from armwise.errors import BadInput
from armwise.log import open_reader
from armwise.log.reading import Reading
from armwise.offline import read_rows
from armwise.offline.account import Account, account
from armwise.offline.account_page import write_account
from browser import needs_browser, show
from logged_service import COST, make_router, serve


@pytest.fixture
def found(log: Reading) -> Account:
    return account(log)


def test_every_cut_adds_up_to_the_whole(log: Reading, found: Account) -> None:
    rows = read_rows(log)
    assert found.whole.decisions == found.whole.billed == found.whole.judged == len(rows)
    assert found.whole.spend_usd == pytest.approx(rows.cost_usd.sum())
    assert found.whole.quality == pytest.approx(rows.quality.mean())
    assert found.whole.quality_margin == pytest.approx(1.96 * rows.quality.std() / math.sqrt(len(rows)))
    for cut in (found.arms, found.tasks, found.tenants, found.stretches):
        assert sum(one.decisions for one in cut.values()) == len(rows)
        assert sum(one.spend_usd for one in cut.values()) == pytest.approx(found.whole.spend_usd)
    assert set(found.tasks) == {"code", "chat"}
    assert all(sum(of.values()) == pytest.approx(1.0) for of in found.shares.values())
    assert sum(one.judged for one in found.reliability) == len(rows)


def test_what_one_arm_alone_would_have_been(found: Account) -> None:
    alone = found.alone
    assert set(alone) == {"small", "middle", "large"}
    assert found.best() == "large"
    large = alone["large"]
    assert large.cost_usd is not None
    assert large.saved is not None
    assert large.cost_usd.value == pytest.approx(COST[2], rel=0.1)
    assert large.saved == pytest.approx(1.0 - found.whole.spend_usd / found.whole.decisions / COST[2], abs=0.1)
    assert large.quality_lost.value > 0


def test_judged_by_lot_is_weighed_by_the_lot(log: Reading, tmp_path: Path) -> None:
    """Silence is no zero: where a part is judged, quality is of that part, and the rest is counted as unjudged."""
    with make_router(tmp_path / "a.duckdb") as router:
        serve(router, 400, judged=0.25)
    with open_reader(tmp_path / "a.duckdb") as reader:
        one = account(reader)
        rows = read_rows(reader)
    assert one.whole.judged == int((~np.isnan(rows.quality)).sum()) < 150
    assert one.whole.quality == pytest.approx(np.nanmean(rows.quality))


def test_a_log_that_cannot_be_asked_still_has_its_account(tmp_path: Path) -> None:
    with make_router(tmp_path / "a.duckdb", policy={"name": "fixed", "arm": "large"}) as router:
        serve(router, 50, narrow=0.0)
    with open_reader(tmp_path / "a.duckdb") as reader:
        found = account(reader)
    assert found.whole.decisions == 50
    assert all(one.verdict == "refused" and one.reason for one in found.alone.values() if one.saved is None)
    assert write_account(found, tmp_path / "page.html").stat().st_size > 100_000


def test_the_command_prints_a_table_json_and_a_page(log_path: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = CliRunner().invoke(app, ["report", str(log_path), "--html", str(page), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["decisions"] == 2_000
    assert set(said["alone"]) == set(said["arms"]) == {"small", "middle", "large"}
    assert page.exists()
    done = CliRunner().invoke(app, ["report", str(log_path)])
    assert done.exit_code == 0, done.output
    assert "quality against large alone" in done.stdout


def test_nothing_to_report_is_said(tmp_path: Path, log: Reading) -> None:
    with make_router(tmp_path / "a.duckdb"):
        pass
    with open_reader(tmp_path / "a.duckdb") as reader, pytest.raises(BadInput, match="holds no decision"):
        account(reader)
    with pytest.raises(BadInput, match="days must be above 0, got 0"):
        account(log, days=0.0)


@needs_browser
def test_every_figure_is_drawn_and_nothing_complains(found: Account, tmp_path: Path) -> None:
    shown = show(write_account(found, tmp_path / "page.html"), tmp_path / "profile")
    assert shown.figures == 6  # quality, money, shares, latency, one arm alone, reliability
    assert shown.complaints == []
