"""The demo, on the first prompts of the packaged table: real router, real log, real page."""

import json

import duckdb
import pytest

from armwise.demo import run_demo
from armwise.demo.story import ASKED, QUERY
from armwise.errors import BadInput


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return run_demo(json=True, out=out, limit=600), out


def test_every_round_is_in_the_log_with_its_outcome(shown):
    result, _ = shown
    with duckdb.connect(result.log, read_only=True) as log:
        rows = log.execute(QUERY).fetchall()
        decisions = log.execute("SELECT count(*), min(propensity), max(propensity) FROM decisions").fetchone()
    assert decisions is not None
    assert decisions[0] == result.rounds + len(ASKED) == 600 + len(ASKED)
    assert 0 < decisions[1] <= decisions[2] <= 1
    assert sum(row[1] for row in rows) == 600
    assert sum(row[1] * row[2] for row in rows) / 600 == pytest.approx(result.quality)
    assert sum(row[3] for row in rows) == pytest.approx(result.spend_usd)


def test_typed_prompts_are_decided_through_the_text_path(shown):
    result, _ = shown
    assert tuple(result.decided) == ASKED


def test_the_page_stands_alone_and_names_the_figures(shown):
    result, out = shown
    html = (out / "demo.html").read_text()
    assert result.page == str(out / "demo.html")
    for words in ("Quality for money", "Learning", "hull", "known-cost null", "MMLU-Pro (Apache-2.0)", ASKED[0]):
        assert words in html
    assert "<script src" not in html
    assert "cdn.plot" not in html.split("</script>")[-1]


def test_json_is_printed_last_and_a_second_demo_starts_anew(tmp_path, capsys):
    for _ in range(2):
        result = run_demo(json=True, out=tmp_path, limit=100)
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    wanted = ("rounds", "arms", "seconds", "quality", "spend_usd", "spend_saved_at_95", "hull_saved_at_95", "log")
    assert set(wanted) <= printed.keys()
    assert printed["rounds"] == result.rounds == 100
    with duckdb.connect(result.log, read_only=True) as log:
        assert log.execute("SELECT count(*) FROM decisions").fetchone() == (100 + len(ASKED),)


def test_too_few_prompts_are_refused(tmp_path):
    with pytest.raises(BadInput, match="at least 100"):
        run_demo(out=tmp_path, limit=5)
