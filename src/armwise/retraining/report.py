"""The report of a run: one self-contained page that a person can approve a promotion from."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from armwise.evaluation import LOGGING, Estimate
from armwise.offline.rows import Array
from armwise.retraining.run import Retraining
from armwise.simulation.page import Page
from armwise.simulation.plots import PALETTE, style

MOST_ARMS = 12
"""Arms in the figure of moves: those with the most traffic."""
_GOOD, _BAD = "#10b981", "#ef4444"


def write_report(run: Retraining, path: Path) -> Path:
    """Write the page of a run; returns its path."""
    served = "is promoted" if run.promoted else "passes" if run.verdict.promoted else "is not promoted"
    page = Page(f"Retraining: {run.winner} {served}", f"{run.reason[:1].upper()}{run.reason[1:]}.")
    gain = run.confirmation.utility(run.winner)
    passed = sum(check.passed for check in run.verdict.checks)
    page.cards(
        {
            "utility gained over what serves": f"{gain.value:+.4f}",
            f"{gain.level:.0%} interval": f"{gain.lower:+.4f} to {gain.upper:+.4f}",
            "conditions that hold": f"{passed} of {len(run.verdict.checks)}",
            "rows that confirm": f"{len(run.confirmation.rows):,}",
        }
    )
    _decision(page, run)
    _candidates(page, run)
    _outcomes(page, run)
    _moves(page, run)
    _calibration(page, run)
    _data(page, run)
    page.footer(f"armwise retrain, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, {run.seconds:.0f} s.")
    return page.write(path)


def _decision(page: Page, run: Retraining) -> None:
    rows = [
        [
            "holds" if check.passed else "FAILS",
            check.name,
            _interval(check.difference),
            _limit(check.limit),
            check.reason,
        ]
        for check in sorted(run.verdict.checks, key=lambda check: check.passed)
    ]
    page.table(
        "Decision and reason",
        "Every condition has to hold. Differences are the candidate less what served, on rows that neither had seen. "
        "Utility has to be shown to be better; the guarded metrics must not be shown to be worse.",
        ["", "condition", "difference [interval]", "limit", "in words"],
        rows,
    )
    slices = [check for check in run.verdict.checks if check.difference is not None and check.name != "utility"]
    if slices:
        gaps = [check.difference for check in slices if check.difference is not None]
        names = [check.name for check in slices]
        keep = [i for i, name in enumerate(names) if name.startswith(("quality", "errors", "exploration"))]
        figure = go.Figure()
        figure.add_trace(
            go.Scatter(
                x=[gaps[i].value for i in keep],
                y=[names[i] for i in keep],
                mode="markers",
                marker={"size": 10, "color": [_GOOD if slices[i].passed else _BAD for i in keep]},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "color": "#6b7280",
                    "array": [gaps[i].upper - gaps[i].value for i in keep],
                    "arrayminus": [gaps[i].value - gaps[i].lower for i in keep],
                },
                hovertemplate="%{y}: %{x:+.4f}<extra></extra>",
            )
        )
        figure.add_vline(x=0, line={"color": "#6b7280", "dash": "dot"})
        style(figure, x="candidate less what serves", y="", height=120 + 34 * len(keep))
        figure.update_yaxes(autorange="reversed", automargin=True)
        page.figure("Guarded metrics and slices", "Green: not shown to be worse. Red: worse than allowed.", figure)


def _candidates(page: Page, run: Retraining) -> None:
    chosen = run.selection
    settings = {one.name: one for one in run.settings.candidates}
    rows = []
    for name in sorted(chosen.tables, key=lambda name: -chosen.utility(name).value):
        diagnosis = chosen.evaluation.diagnosis[name]
        worth = min(stats.effective_sample_size for stats in diagnosis.weights.values())
        window = settings[name].window_rows
        rows.append(
            [
                f"{name} (chosen)" if name == run.winner else name,
                ", ".join(f"{key}={value}" for key, value in settings[name].settings().items() if key != "name") or "-",
                f"{window:,} rows" if window else "all",
                _interval(chosen.utility(name)),
                f"{worth:,.0f}",
                diagnosis.verdict.status,
            ]
        )
    page.table(
        "Candidates",
        f"Doubly robust estimates with cross-fitted models on {len(chosen.rows):,} rows, which choose. The best is "
        "then judged on other rows, so that having been chosen does not flatter it.",
        ["candidate", "parameters", "learned from", "utility gained [interval]", "rows it is worth", "can be answered"],
        rows,
    )


def _outcomes(page: Page, run: Retraining) -> None:
    found, name = run.confirmation, run.winner
    rows = [["utility", _number(found.value(LOGGING)), _number(found.value(name)), _interval(found.utility(name))]]
    for outcome in found.outcomes():
        rows.append(
            [
                outcome,
                _number(found.evaluation.estimate(LOGGING, outcome)),
                _number(found.evaluation.estimate(name, outcome)),
                _interval(found.evaluation.difference(name, outcome=outcome)),
            ]
        )
    trade = found.trade
    page.table(
        "What it would achieve",
        f"Utility is quality less {trade.cost_weight:.4g} per {trade.cost_ref_usd:.4g} USD and "
        f"{trade.latency_weight:.4g} per {trade.latency_ref_ms:.4g} ms.",
        ["outcome", "what serves", name, "difference [interval]"],
        rows,
    )


def _moves(page: Page, run: Retraining) -> None:
    found = run.confirmation
    ours, theirs = found.tables[run.winner].astype(np.float64), found.rows.probabilities
    arms = np.array(found.rows.arms)
    top = np.argsort(-(ours.mean(axis=0) + theirs.mean(axis=0)))[:MOST_ARMS]
    moved = _transport(theirs, ours)[np.ix_(top, top)]
    figure = go.Figure(
        go.Heatmap(
            z=100.0 * moved,
            x=arms[top],
            y=arms[top],
            colorscale="Blues",
            zmin=0.0,
            zmax=max(1.0, 100.0 * float(moved.max(initial=0.0))),
            hovertemplate="%{y} to %{x}: %{z:.2f}%<extra></extra>",
            colorbar={"title": "%"},
        )
    )
    style(figure, x="goes to", y="now from", height=220 + 30 * len(top))
    figure.update_yaxes(autorange="reversed", automargin=True)
    page.figure(
        "What changes in routing",
        f"Share of all traffic that moves from one arm to another, in percent ({100.0 * float(moved.sum()):.1f} in "
        "all); what stays is left out.",
        figure,
    )
    rows = []
    tasks = found.rows.task.astype(str)
    for task in sorted(set(tasks.tolist()), key=lambda task: -int((tasks == task).sum()))[:20]:
        which = tasks == task
        gap = ours[which].mean(axis=0) - theirs[which].mean(axis=0)
        order = np.argsort(-gap)
        rows.append(
            [
                task or "(none)",
                f"{int(which.sum()):,}",
                ", ".join(f"{arms[k]} {100 * gap[k]:+.1f}" for k in order if gap[k] > 0.005)[:90] or "-",
                ", ".join(f"{arms[k]} {100 * gap[k]:+.1f}" for k in order[::-1] if gap[k] < -0.005)[:90] or "-",
            ]
        )
    page.table(
        "Which requests move", "Points of share won and lost, by task.", ["task", "rows", "more to", "less to"], rows
    )


def _calibration(page: Page, run: Retraining) -> None:
    diagnosis = run.confirmation.evaluation.diagnosis[run.winner]
    test = run.confirmation.evaluation.calibration
    said = [[finding.status, finding.code, finding.message] for finding in diagnosis.verdict.findings]
    note = "" if test is None else f"Draws against logged probabilities: p = {test.p_value:.3g}. "
    page.table(
        "Can the log answer?",
        f"{note}{diagnosis.unsupported:.2%} of the candidate's probability lies where the log has nothing.",
        ["", "finding", "in words"],
        said or [["good", "-", "nothing was found against it"]],
    )
    figure = go.Figure()
    for label, shares, color in (
        ("logged", [arm.logged_share for arm in diagnosis.arms], PALETTE[0]),
        ("candidate", [arm.target_share for arm in diagnosis.arms], PALETTE[1]),
    ):
        figure.add_trace(go.Bar(name=label, x=[arm.arm for arm in diagnosis.arms], y=shares, marker_color=color))
    figure.update_layout(barmode="group")
    style(figure, x="", y="share of the traffic")
    page.figure("Shares of the arms", "What the log has, and what the candidate would do.", figure)


def _data(page: Page, run: Retraining) -> None:
    rows = [[name, str(value) if not isinstance(value, list) else ", ".join(value)] for name, value in run.data.items()]
    rows += [["serving", run.serving], ["version", run.version or "not published"]]
    rows += [["note", note] for note in run.confirmation.notes]
    page.table("Data", "", ["", ""], rows)


def _transport(before: Array, after: Array) -> Array:
    """[K, K], mean probability that moves from arm to arm where as little as can moves."""
    lost, won = np.maximum(before - after, 0.0), np.maximum(after - before, 0.0)
    total = np.maximum(won.sum(axis=1, keepdims=True), 1e-12)
    moved: Array = (lost.T @ (won / total)) / len(before)
    return moved


def _interval(gap: Estimate | None) -> str:
    return "-" if gap is None else f"{gap.value:+.4g} [{gap.lower:+.4g}, {gap.upper:+.4g}]"


def _number(estimate: Estimate) -> str:
    return f"{estimate.value:.4g}"


def _limit(limit: float | None) -> str:
    return "-" if limit is None else f"{limit:.4g}"
