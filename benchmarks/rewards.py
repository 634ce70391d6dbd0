"""Does what is learned survive what happens to rewards? Real outcome tables, simulated signals, one seed per run.

    python benchmarks/rewards.py [PART ...] [--seeds 20] [--jobs 1] [--cells FILE] [--report-only] [--json]

ledger        30% of the rewards never come, 20% come up to a day late, 5% come twice, 5% were wrong and are retracted.
              Quality of the final policy on held-out prompts against the one trained on clean rewards; and whether
              the totals of the log are exactly those of the signals that stand.
drift         A judge becomes more lenient half-way: by 0.15 to all, or by 0.3 to one family of arms, which half of the
              anchors are answers of. When is it found, and what does it cost? Beside the run without drift, and the
              run with drift and no guard.
false_alarms  A steady judge, watched for long.
sampling      10% of the traffic judged where the policy is unsure, as many exploring as a configuration sets by itself
              that has such a judge; 10% and 30% judged uniformly; and every answer.
fusion        alpaca_eval's two judges: held-out judgements of both, predicted from one judge alone and from both fused;
              and the best that any fixed weight could have done.
poison        One of forty-one clients praises the worst arm and damns all others, on every other request.

How 10% is best spent was chosen on the open models of mmlu_pro_extra_models, which are not reported here.
Every finished run is kept in --cells (one line of JSON each), so an interrupted benchmark goes on where it stopped;
delete the file when the code changes. Tables: ARMWISE_DATA, by default ../shared/data. Quality is in points, hundredths
of the true score; brackets are 95% intervals over seeds (normal), of paired differences where a difference is shown.
``processor_s`` is the time that a part's runs took together.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2

from armwise.config.judging import JudgeSettings, JudgingSettings
from armwise.judging import JudgeSampler
from outcomes.cells import Cell, Cells, Key
from reward_runs import (
    ANCHOR_EVERY,
    JUDGED,
    WEIGHTS,
    Drift,
    Sampling,
    messy,
    poisoned,
    predicted,
    sampled,
    steady,
    table,
    watched,
)

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"mmlu_pro, cut": ("mmlu_pro", 5_000)}
FAMILY = "Llama"
DRIFTS = {
    "none": (Drift(), True),
    "to all": (Drift(0.15), True),
    "to all, no guard": (Drift(0.15), False),
    "to a family": (Drift(0.3, FAMILY), True),
    "to a family, no guard": (Drift(0.3, FAMILY), False),
}
_JUDGING = JudgingSettings(judges=[JudgeSettings(name="a", kind="exact", rate=0.1)])
SAMPLINGS = {
    "10% by uncertainty": Sampling(lambda rounds: JudgeSampler(0.1, horizon=rounds), explored=_JUDGING.explored),
    "10% by uncertainty, all explore": Sampling(
        lambda rounds: JudgeSampler(0.1, focus=1.0, floor=0.1, ahead=0.8, horizon=rounds)
    ),
    "10% uniform": Sampling(lambda _: JudgeSampler(0.1, floor=1.0, ahead=0.0)),
    "30% uniform": Sampling(lambda _: JudgeSampler(0.3, floor=1.0, ahead=0.0)),
    "30% uniform, 30% explore": Sampling(lambda _: JudgeSampler(0.3, floor=1.0, ahead=0.0), explored=0.3),
    "all": Sampling(lambda _: JudgeSampler(1.0)),
}
POISONS = {"honest": (False, True), "poisoned": (True, True), "poisoned, no limit": (True, False)}
SHOWN = (10, 20, 50)
ANCHORS_WATCHED = 20_000


def named(name: str) -> Any:
    """A table, whole or cut."""
    return table(*LIMITS.get(name, (name, None)))


Run = Callable[[str, int], dict[str, float]]
"""Of a set and a seed."""


def on_table(simulated: Callable[..., dict[str, float]], **settings: Any) -> Run:
    """A run on a table, with these settings."""
    return lambda name, seed: simulated(named(name), seed, **settings)


RUNS: dict[str, tuple[tuple[str, ...], dict[str, Run]]] = {
    "ledger": (
        ("mmlu_pro", "routerbench", "mmlu_pro, cut"),
        {"clean": on_table(messy, clean=True), "messy": on_table(messy, clean=False)},
    ),
    "drift": (
        ("mmlu_pro",),
        {label: on_table(watched, drift=drift, guarded=guarded) for label, (drift, guarded) in DRIFTS.items()},
    ),
    "false_alarms": (("steady",), {"steady": lambda _, seed: steady(ANCHORS_WATCHED, seed)}),
    "sampling": (
        ("mmlu_pro", "routerbench"),
        {label: on_table(sampled, sampling=how) for label, how in SAMPLINGS.items()},
    ),
    "fusion": (
        tuple(f"{shown} prompts" for shown in SHOWN),
        {"both": lambda name, seed: predicted(int(name.split()[0]), seed)},
    ),
    "poison": (
        ("routerbench",),
        {label: on_table(poisoned, poison=poison, limited=limited) for label, (poison, limited) in POISONS.items()},
    ),
}
"""Part -> its sets, and label -> its run."""


# ---------------------------------------------------------------------------------------------- runs


def run(part: str, name: str, label: str, seed: int) -> Cell:
    """One run, with the processor time that it took."""
    if part not in ("fusion", "false_alarms"):
        named(name)  # reading a table is no part of a run
    began = time.process_time()
    found = RUNS[part][1][label](name, seed)
    return {"found": found, "processor_s": time.process_time() - began}


# ---------------------------------------------------------------------------------------------- what they say


class Part:
    """The runs of one part on one set, by label; only seeds that every label has, so that differences are paired."""

    def __init__(self, cells: Mapping[Key, Cell], part: str, name: str, seeds: int) -> None:
        labels = RUNS[part][1]
        whole = [seed for seed in range(seeds) if all((part, name, label, seed) in cells for label in labels)]
        self.seeds = len(whole)
        self._runs = {label: [cells[part, name, label, seed]["found"] for seed in whole] for label in labels}

    def of(self, label: str, key: str) -> np.ndarray:
        return np.array([found[key] for found in self._runs[label]], dtype=float)

    def less(self, label: str, other: str, key: str) -> dict[str, float]:
        """The paired difference of two labels."""
        return interval(self.of(label, key) - self.of(other, key))


def ledger(part: Part) -> dict[str, Any]:
    return {
        "clean": interval(part.of("clean", "final")),
        "messy": interval(part.of("messy", "final")),
        "difference": part.less("messy", "clean", "final"),
        "totals_exact": bool(part.of("messy", "exact").all()),
    }


def drift(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {"judged_per_run": float(part.of("none", "judged").mean())}
    found["no drift"] = interval(part.of("none", "final"))
    found["false alarms"] = int(sum(part.of(label, "false_alarms").sum() for label in DRIFTS))
    for label, (_, guarded) in DRIFTS.items():
        if label == "none":
            continue
        found[label] = {
            "less_no_drift": part.less(label, "none", "final"),
            "over_the_run_less_no_drift": part.less(label, "none", "over_the_run"),
        }
        if guarded:
            delay = part.of(label, "delay")
            delay = np.where(delay < 0, math.inf, delay)
            found[label] |= {
                "found_within_500": float((delay <= 500).mean()),
                "delay_median": float(np.median(delay)),
                "delay_worst": float(delay.max()),
                "found_uneven": float((part.of(label, "uneven") > 0).mean()),
            }
    return found


def false_alarms(part: Part) -> dict[str, Any]:
    """At this rate of judging each anchor stands for many requests."""
    alarms, judged = int(part.of("steady", "alarms").sum()), float(part.of("steady", "anchors").sum()) * ANCHOR_EVERY
    most = float(chi2.ppf(0.95, 2 * (alarms + 1)) / 2)
    return {
        "alarms": alarms,
        "requests": judged / JUDGED,
        "judged": judged,
        "per_100000_requests": 1e5 * alarms * JUDGED / judged,
        "per_100000_requests_at_most_95": 1e5 * most * JUDGED / judged,
        "per_100000_judged_at_most_95": 1e5 * most / judged,
    }


def sampling(part: Part) -> dict[str, Any]:
    return {
        label: {
            "final": interval(part.of(label, "final")),
            "final_less_30_uniform": part.less(label, "30% uniform", "final"),
            "over_the_run_less_30_uniform": part.less(label, "30% uniform", "over_the_run"),
            "share_judged": float(part.of(label, "judged").mean()),
        }
        for label in SAMPLINGS
    }


def fusion(part: Part) -> dict[str, Any]:
    value = partial(part.of, "both")
    found: dict[str, Any] = {}
    for name in ("v1 alone", "v2 alone", "fused", "fused, half the prompts"):
        one, other = value(f"{name}, v1"), value(f"{name}, v2")
        found[name] = {"r2_v1": interval(one), "r2_v2": interval(other), "r2_mean": interval((one + other) / 2)}
    found["fused less the other judge alone"] = {
        "r2_v1": interval(value("fused, v1") - value("v2 alone, v1")),
        "r2_v2": interval(value("fused, v2") - value("v1 alone, v2")),
    }

    def over_both(name: str, alone: str) -> np.ndarray:
        gains = [value(f"{name}, {target}") - value(f"{alone} alone, {target}") for target in ("v1", "v2")]
        return np.asarray(np.mean(gains, axis=0))

    found["fused less one alone, mean of both targets"] = {j: interval(over_both("fused", j)) for j in ("v1", "v2")}
    best = max(WEIGHTS, key=lambda w: float(over_both(f"at weight {w:.1f}", "v1").mean()))
    found["best fixed weight of v1 in hindsight"] = best
    found["... less v1 alone, mean of both targets"] = interval(over_both(f"at weight {best:.1f}", "v1"))
    return found


def poison(part: Part) -> dict[str, Any]:
    return {
        "honest": interval(part.of("honest", "final")),
        "poisoned_less_honest": part.less("poisoned", "honest", "final"),
        "poisoned_without_limit_less_honest": part.less("poisoned, no limit", "honest", "final"),
    }


SUMMARIES = {
    "ledger": ledger,
    "drift": drift,
    "false_alarms": false_alarms,
    "sampling": sampling,
    "fusion": fusion,
    "poison": poison,
}


def interval(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Mean with its 95% interval over seeds."""
    array = np.asarray(values, dtype=float)
    reach = 1.96 * array.std(ddof=1) / math.sqrt(len(array)) if len(array) > 1 else math.nan
    return {"mean": float(array.mean()), "low": float(array.mean() - reach), "high": float(array.mean() + reach)}


def shown(value: Any, indent: str = "  ") -> str:
    """Nested figures as lines of text."""
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and set(item) == {"mean", "low", "high"}:
            lines.append(f"{indent}{key}: {item['mean']:.2f} [{item['low']:.2f}, {item['high']:.2f}]")
        elif isinstance(item, dict):
            lines.append(f"{indent}{key}:\n{shown(item, indent + '  ')}")
        else:
            lines.append(f"{indent}{key}: {item:.4g}" if isinstance(item, float) else f"{indent}{key}: {item}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*RUNS, []], help="by default all")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cells", type=Path, default=ROOT / "results/rewards/cells.jsonl")
    parser.add_argument("--report-only", action="store_true", help="of the runs that are there")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    parts = given.parts or list(RUNS)
    runs = Cells(given.cells, ("part", "set", "label", "seed"))
    found: dict[str, Any] = {}
    for part in parts:
        sets, labels = RUNS[part]
        todo = [(part, name, label, seed) for seed in range(given.seeds) for name in sets for label in labels]
        cells = runs.read() if given.report_only else runs.completed(todo, run, jobs=given.jobs)
        found[part] = {"processor_s": sum(cell["processor_s"] for key, cell in cells.items() if key[0] == part)}
        for name in sets:
            of_set = Part(cells, part, name, given.seeds)
            if of_set.seeds:
                found[part][name] = {"seeds": of_set.seeds, **SUMMARIES[part](of_set)}
        if not given.json:
            print(f"{part}\n{shown(found[part])}", flush=True)
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
