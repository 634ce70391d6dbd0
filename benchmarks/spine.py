"""Every figure of the spine in one table: decide, observe, encode, replay, log, import; and what the demo saves.

    python benchmarks/spine.py [--repeats 5] [--json]

Each row is the median over repeats, with the lowest and the highest. ParetoBandit runs in the same process, its blocks
between ours, and ratios are taken repeat by repeat. Needs ``pip install armwise[bench]``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

import decide
import log
from armwise.demo import run_demo
from armwise.simulation import OutcomeTable, replay

ARMS = (3, 10, 32)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: what was measured, what is wanted of it, and what came out, one value per repeat."""

    name: str
    unit: str
    goal: float
    at_most: bool
    values: tuple[float, ...]

    @property
    def met(self) -> bool:
        """Whether the median reaches the goal."""
        return median(self.values) <= self.goal if self.at_most else median(self.values) >= self.goal


def decisions(repeats: int) -> list[Figure]:
    """Decide and observe with features given, beside ParetoBandit's route."""
    ratios: dict[tuple[str, int], list[float]] = {}
    observed: list[float] = []
    for _ in range(repeats):
        for arms in ARMS:
            peer = decide.pareto_bandit(arms)
            if peer is None:
                raise SystemExit("ParetoBandit is not installed: pip install armwise[bench]")
            for policy in decide.TARGETS:
                with tempfile.TemporaryDirectory() as folder:
                    row = decide.beside(policy, arms, peer, 2_000, Path(folder))
                ratios.setdefault((policy, arms), []).append(row["p50"] / row["peer_p50"])
                observed.append(row["observe_p50"])
    rows = [
        Figure(
            name=f"decide, {policy}, {arms} arms",
            unit="of ParetoBandit's p50",
            goal=decide.TARGETS[policy][arms],
            at_most=True,
            values=tuple(values),
        )
        for (policy, arms), values in sorted(ratios.items())
    ]
    return [*rows, Figure(name="observe p50", unit="us", goal=60.0, at_most=True, values=tuple(observed))]


def log_rates(repeats: int) -> Figure:
    """Decisions a second from the first append to all on disk; a lost or changed row stops the run."""
    distinct, rates = log.distinct_decisions(), []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            found = log.sustained(Path(folder), distinct, 200_000)
        if found["rows_lost"] or found["rows_changed_of_sample"]:
            raise SystemExit(f"the log lost or changed rows: {found}")
        rates.append(found["decisions_per_s"])
    return Figure(name="log, nothing lost", unit="decisions/s", goal=20_000, at_most=False, values=tuple(rates))


def replay_rate(table: OutcomeTable) -> float:
    """Full rounds a second: decide, reveal, learn; default policy, 12 arms, one process."""
    since = time.perf_counter()
    run = replay(table, cost_weight=0.1)
    return len(run) / (time.perf_counter() - since)


def repeated(measure: Callable[[], float], repeats: int) -> tuple[float, ...]:
    return tuple(measure() for _ in range(repeats))


def demo_rows(folder: Path) -> list[Figure]:
    """What the demo saves, and beside it what each null baseline does."""
    found = run_demo(json=False, out=folder, console=Console(quiet=True))
    nulls = {
        "hull": found.hull_saved_at_95,
        "known-cost null": found.known_cost_null_saved_at_95,
        "prompt length": found.prompt_length_saved_at_95,
        "task mean": found.task_mean_saved_at_95,
    }
    goal = Figure(
        name="demo: spend saved at 95%, mean", unit="%", goal=57.0, at_most=False, values=(found.spend_saved_at_95,)
    )
    beside = [
        Figure(name=f"  {name}, same table", unit="%", goal=0.0, at_most=False, values=(value,))
        for name, value in nulls.items()
    ]
    return [goal, *beside]


def show(figures: Sequence[Figure]) -> None:
    table = Table("figure", "median", "lowest to highest", "unit", "goal", "")
    for figure in figures:
        low, high = min(figure.values), max(figure.values)
        null = figure.name.startswith("  ")
        table.add_row(
            figure.name,
            f"{median(figure.values):,.4g}",
            f"{low:,.4g} to {high:,.4g}" if high > low else "",
            figure.unit,
            "" if null else f"{'<=' if figure.at_most else '>='} {figure.goal:,.4g}",
            "" if null else "met" if figure.met else "MISSED",
        )
    Console(width=120).print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    repeats: int = options.repeats
    table = OutcomeTable.packaged()
    figures = decisions(repeats)
    text = repeated(lambda: decide.text_to_decision(1_000), repeats)
    figures.append(
        Figure(name="text of 500 characters to decision", unit="us p50", goal=300.0, at_most=True, values=text)
    )
    rate = repeated(lambda: replay_rate(table), repeats)
    figures.append(Figure(name="replay, 12 arms, one core", unit="rounds/s", goal=5_000, at_most=False, values=rate))
    figures.append(log_rates(repeats))
    imports = repeated(decide.import_time, repeats)
    figures.append(Figure(name="import armwise", unit="s", goal=0.35, at_most=True, values=imports))
    with tempfile.TemporaryDirectory() as folder:
        figures += demo_rows(Path(folder))
    if options.json:
        print(json.dumps([{**asdict(figure), "met": figure.met} for figure in figures]))
    else:
        show(figures)


if __name__ == "__main__":
    main()
