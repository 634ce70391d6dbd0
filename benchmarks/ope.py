"""Off-policy evaluation: do the intervals hold, and what does an answer cost?

    python benchmarks/ope.py coverage [--table routerbench_subset] [--replications 500] [--obp /path/to/venv/bin/python]
    python benchmarks/ope.py speed    [--rows 1000000] [--obp ...]
    python benchmarks/ope.py stream   [--rows 10000000]
    python benchmarks/ope.py thresholds
    python benchmarks/ope.py ranking   [--replications 500]

coverage  Full-information outcomes of twelve models on 12,002 MMLU-Pro prompts, or of eleven on RouterBench's
          (ARMWISE_DATA). A policy logs rows drawn with replacement; the truth is the target's mean over all prompts.
          Per estimator: bias, RMSE, width, and how often the 95 % interval covers, in brackets among the logs whose
          verdict did not refuse. Anytime-valid sequences are watched at every step: one miss in a run counts.
speed     One doubly robust estimate with a 1,000-resample interval; peak memory of a fresh process, inputs included.
stream    IPS and SNIPS over a Parquet log read by DuckDB in Arrow batches.
thresholds  RMSE of tuned estimators under the published SLOPE widths and under paired ones.
ranking   RMSE on a classification set turned into a bandit (scikit-learn's digits), under a logging policy near the
          target and one far from it, beside the published order.

obp (0.5.7) wants its own environment: pip install --no-deps --ignore-requires-python obp==0.5.7, then numpy scipy
pandas scikit-learn tqdm pyyaml matplotlib seaborn; torch, which its estimators here never call, is replaced by empty
modules.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # small matrices: more threads only wait for each other

import numpy as np  # noqa: E402 - reads the two when it is imported

DATA = Path(os.environ.get("ARMWISE_DATA", Path(__file__).parents[2] / "shared" / "data"))
MEAN_ESTIMATORS = ("ips", "dr")


# ---------------------------------------------------------------------------------------------- the world


def load_world(name):
    """Scores [n, K], features [n, d], arm names, and costs [n, K] as shares of the dearest arm's mean, of a table."""
    import pyarrow.parquet as pq

    path = DATA / f"{name}.parquet"
    if not path.exists():
        sys.exit(f"no {path}; set ARMWISE_DATA to the folder of outcome tables")
    table = pq.read_table(
        path, columns=["prompt_id", "task", "model", "score", "input_tokens", "cost_usd", "cost_est_usd"]
    ).to_pandas()
    scores = table.pivot(index="prompt_id", columns="model", values="score")
    first = table.drop_duplicates("prompt_id").set_index("prompt_id").loc[scores.index]
    tasks = sorted(first["task"].unique())
    one_hot = (first["task"].to_numpy()[:, None] == np.array(tasks[1:])).astype(float)
    length = np.log1p(first["input_tokens"].to_numpy())
    features = np.column_stack([one_hot, (length - length.mean()) / length.std()])
    table["cost"] = table["cost_usd"].fillna(table["cost_est_usd"])
    costs = table.pivot(index="prompt_id", columns="model", values="cost").to_numpy()
    return scores.to_numpy(), features, tuple(str(name) for name in scores.columns), costs / costs.mean(axis=0).max()


LEARNING = 200
"""Runs at most of the policy that learns while it logs: each takes seconds."""

COST_WEIGHT = 0.06
"""Points of quality per mean cost of the dearest arm: enough that the policies send prompts to more than one arm."""


def untrained(features, arms, **settings):
    """The default policy before its first lesson, and the vectors that it sees."""
    from armwise.contracts import Arm, Model
    from armwise.policies import make_policy

    vectors = np.column_stack([np.ones(len(features)), features]).astype(np.float32).astype(float)
    policy = make_policy("thompson", vectors.shape[1], **settings)
    for a in range(arms):
        policy.add_arm(Arm(f"m{a}", models=(Model(f"m{a}", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0),)))
    return policy, vectors


def trained(features, scores, costs, lessons, seed):
    """The default policy and its greedy arm on every prompt, after ``lessons`` uniformly explored ones."""
    from armwise.contracts import Experience

    n, k = scores.shape
    policy, vectors = untrained(features, k)
    rng = np.random.default_rng(seed)
    for i in rng.integers(0, n, lessons):
        slot = int(rng.integers(k))
        policy.learn(Experience(vectors[i], slot, float(scores[i, slot]), 1.0 / k))
    slots, penalties = np.arange(k), COST_WEIGHT * costs
    choices = [policy.choose(vector, slots, taken, seed=0) for vector, taken in zip(vectors, penalties, strict=True)]
    probabilities = np.array([choice.probabilities for choice in choices])
    greedy = np.array([choice.quality for choice in choices]) - penalties
    greedy = greedy.argmax(axis=1)
    return probabilities / probabilities.sum(axis=1, keepdims=True), greedy


def learning(features, scores, costs, rows, rng):
    """Arms and probabilities [n, K] of the default policy that logs these rows and learns from each at once."""
    from armwise.contracts import Experience

    n, k = len(rows), scores.shape[1]
    policy, vectors = untrained(features, k, floor=0.02)
    slots, penalties, uniform = np.arange(k), COST_WEIGHT * costs, rng.random(n)
    arms, table = np.empty(n, dtype=int), np.empty((n, k))
    for i, x in enumerate(rows):
        p = policy.choose(vectors[x], slots, penalties[x], seed=0).probabilities
        table[i] = p / p.sum()
        arm = arms[i] = min(int(np.searchsorted(table[i].cumsum(), uniform[i], side="right")), k - 1)
        policy.learn(Experience(vectors[x], arm, float(scores[x, arm]), float(table[i, arm])))
    return arms, table


def policies(features, scores, costs):
    """Behaviour and target tables [n, K]; targets come from a policy that learned from other rows, and longer.

    The default logs while it still explores, after 300 lessons. Once it is sure, its log cannot answer, and the verdict
    says so (the report counts verdicts). With a floor under every arm it can.
    """
    k = scores.shape[1]
    default, greedy = trained(features, scores, costs, 300, 1)
    later, later_greedy = trained(features, scores, costs, 3000, 2)
    uniform = np.full(scores.shape, 1.0 / k)
    behaviours = {"uniform": uniform, "epsilon-greedy 0.2": 0.8 * np.eye(k)[greedy] + 0.2 / k, "default": default}
    behaviours["default, 2% floor"] = 0.98 * default + 0.02 / k
    behaviours["default, 2% floor, learning"] = lambda rows, rng: learning(features, scores, costs, rows, rng)
    return behaviours, {"greedy": np.eye(k)[later_greedy], "default": later}


# ---------------------------------------------------------------------------------------------- coverage


def coverage(args):
    from armwise.evaluation import ESTIMATORS, TargetPolicy, confidence_sequence, cross_fit, evaluate
    from armwise.evaluation.intervals import normal_radius
    from armwise.evaluation.intervals.betting import LOG_PRIOR, STAKES
    from armwise.evaluation.outcome_models import RidgeOutcome

    scores, features, arms, costs = load_world(args.table)
    behaviours, targets = policies(features, scores, costs)
    truth = {name: float((table * scores).sum(axis=1).mean()) for name, table in targets.items()}
    fixed = {name: table for name, table in behaviours.items() if not callable(table)}
    for kind, tables in (("logging", fixed), ("target", targets)):
        for name, table in tables.items():
            shares = sorted(zip(table.mean(axis=0), arms, strict=True), reverse=True)
            mix = ", ".join(f"{arm} {share:.0%}" for share, arm in shares if share >= 0.01)
            print(f"{kind} {name}: {mix}")
    print(f"truth: {truth}; logged value: { {b: float((t * scores).sum(1).mean()) for b, t in fixed.items()} }")
    out = []
    for behaviour, logging in behaviours.items():
        if args.behaviour not in (None, behaviour):
            continue
        replications = min(args.replications, LEARNING) if callable(logging) else args.replications
        found: dict[tuple[str, str], list] = {}
        anytime: dict[tuple[str, str], list] = {}
        with tempfile.TemporaryDirectory() as folder:
            for seed in range(replications):
                feedback, rows = draw(scores, features, arms, logging, args.rows, seed)
                chosen = [TargetPolicy(name=name, probabilities=targets[name][rows]) for name in targets]
                q = cross_fit(feedback, chosen, RidgeOutcome())
                for name in ESTIMATORS:
                    if name == "replay" and behaviour.startswith("default"):
                        continue  # one huge weight bound, nothing accepted
                    result = evaluate(
                        feedback,
                        chosen,
                        estimator=name,
                        interval="bootstrap",
                        predictions=None if name == "mrdr" else q,
                        rng=np.random.default_rng([seed, 1]),
                        force=True,
                    )
                    for target in targets:
                        e = result.estimate(target)
                        at = result.policies.index(target)
                        centre = result.centre[at, 0]
                        half = normal_radius(np.array(e.standard_error), 0.95, result.bias_allowance[at, 0])
                        found.setdefault((target, name), []).append(
                            (
                                e.value,
                                centre - half,
                                centre + half,
                                e.lower,
                                e.upper,
                                result.verdict(target).status != "refused",
                                result.verdict(target).status == "answerable",
                            )
                        )
                for t, target in enumerate(chosen):
                    w = target.of_arm(feedback.arm) / feedback.propensity
                    r, v = feedback.outcomes["quality"], truth[target.name]
                    lower, upper = confidence_sequence(r, w)
                    missed = bool(((lower > v) | (upper < v)).any())
                    anytime.setdefault((target.name, "ips, running"), []).append((missed, upper[-1] - lower[-1]))
                    peak = max(
                        peak_capital(w * r, v, STAKES, LOG_PRIOR), peak_capital(w * (1 - r), 1 - v, STAKES, LOG_PRIOR)
                    )
                    width = np.nan
                    if seed < 50:
                        b = evaluate(feedback, [target], estimator="ips", interval="betting", force=True).estimate(
                            target.name
                        )
                        width = b.upper - b.lower
                    anytime.setdefault((target.name, "ips, betting"), []).append((peak >= np.log(40.0), width))
                    if args.obp and seed < args.obp_replications:
                        np.savez(
                            f"{folder}/{target.name}-{seed}.npz",
                            reward=r,
                            action=feedback.arm,
                            pscore=feedback.propensity,
                            action_dist=target.probabilities,
                            q=table_of(q, t, feedback, target),
                        )
                if seed % 25 == 24:
                    print(f"  {behaviour}: {seed + 1} of {replications}", file=sys.stderr, flush=True)
            peer = run_obp(args.obp, ["--folder", folder], seeds=args.obp_replications) if args.obp else {}
        print(f"\n### logged by {behaviour}, {args.rows} rows, {replications} runs")
        print(
            "\n| target | estimator | bias | RMSE | width | normal covers | bootstrap covers "
            "| answerable / warning / refused | obp width / covers |\n|---|---|---|---|---|---|---|---|---|"
        )
        for (target, name), values in found.items():
            a = np.array(values)
            v = truth[target]
            row = {
                "behaviour": behaviour,
                "target": target,
                "estimator": name,
                "bias": a[:, 0].mean() - v,
                "rmse": np.sqrt(((a[:, 0] - v) ** 2).mean()),
                "width": (a[:, 2] - a[:, 1]).mean(),
                "normal": ((a[:, 1] <= v) & (v <= a[:, 2])).mean(),
                "bootstrap": ((a[:, 3] <= v) & (v <= a[:, 4])).mean(),
                "answerable": int(a[:, 6].sum()),
                "warning": int(a[:, 5].sum() - a[:, 6].sum()),
                "refused": int(len(a) - a[:, 5].sum()),
            }
            covers = [f"{row[interval]:.1%}" for interval in ("normal", "bootstrap")]
            if 0 < row["refused"] < len(a):
                kept = a[a[:, 5] == 1]
                for i, (low, high) in enumerate(((1, 2), (3, 4))):
                    answered = ((kept[:, low] <= v) & (v <= kept[:, high])).mean()
                    row[("normal_answered", "bootstrap_answered")[i]] = answered
                    covers[i] += f" ({answered:.1%})"
            theirs = ""
            if (pairs := peer.get(f"{target}/{name}")) is not None:
                p = np.array(pairs)
                row["obp_width"], row["obp"] = (p[:, 1] - p[:, 0]).mean(), ((p[:, 0] <= v) & (v <= p[:, 1])).mean()
                theirs = f"{row['obp_width']:.4f} / {row['obp']:.1%}"
            out.append(row)
            print(
                f"| {target} | {name} | {row['bias']:+.4f} | {row['rmse']:.4f} | {row['width']:.4f} | "
                f"{covers[0]} | {covers[1]} | {row['answerable']} / {row['warning']} / {row['refused']} | {theirs} |"
            )
        print("\n| target | anytime-valid, watched at every step | never wrong | width at the end |\n|---|---|---|---|")
        for (target, name), values in anytime.items():
            wrong, width = np.array([m for m, _ in values]), np.array([w for _, w in values])
            row = {
                "behaviour": behaviour,
                "target": target,
                "sequence": name,
                "never_wrong": 1 - wrong.mean(),
                "width": np.nanmean(width),
            }
            out.append(row)
            print(f"| {target} | {name} | {row['never_wrong']:.1%} | {row['width']:.4f} |", flush=True)
        save(args, out)


def draw(scores, features, arms, logging, n, seed):
    from armwise.evaluation import LoggedFeedback

    rng = np.random.default_rng([seed, 0])
    rows = rng.integers(0, len(scores), n)
    if callable(logging):
        arm, p = logging(rows, rng)
    else:
        p = logging[rows]
        edges = p.cumsum(axis=1)
        arm = (rng.random(n)[:, None] * edges[:, -1:] > edges).sum(axis=1)
    feedback = LoggedFeedback(
        arms=arms,
        arm=arm,
        propensity=p[np.arange(n), arm],
        outcomes={"quality": scores[rows, arm]},
        logging_probabilities=p,
        features=features[rows],
        bounds={"quality": (0.0, 1.0)},
    )
    return feedback, rows


def table_of(q, t, feedback, target):
    """A table [n, K] that contracts to the same logged and direct predictions, for a peer that wants a table."""
    logged, direct = q.logged[:, 0, 0], q.direct[:, t, 0]
    drawn = target.of_arm(feedback.arm)
    rest = np.divide(direct - drawn * logged, 1 - drawn, out=logged.copy(), where=drawn < 1 - 1e-9)
    table = np.repeat(rest[:, None], len(feedback.arms), axis=1)
    table[np.arange(feedback.n), feedback.arm] = logged
    return table


def peak_capital(terms, value, stakes, log_prior):
    path = np.cumsum(np.log1p(stakes * (terms - value)[:, None]), axis=0)
    return float((np.logaddexp.reduce(path, axis=1) + log_prior).max())


# ---------------------------------------------------------------------------------------------- speed


def speed_arrays(n, k=10):
    rng = np.random.default_rng(0)
    target = rng.random((n, k))
    target /= target.sum(axis=1, keepdims=True)
    return {
        "target": target,
        "q": rng.random((n, k)),
        "arm": rng.integers(0, k, n),
        "propensity": np.full(n, 1.0 / k),
        "reward": (rng.random(n) < 0.5).astype(float),
    }


def speed_ours(args):
    from armwise.evaluation import LoggedFeedback, evaluate

    x = speed_arrays(args.rows)
    base = peak_mib()
    out = {"inputs_mib": base}
    for estimator in ("dr", "snips", "ips"):
        start = time.perf_counter()
        feedback = LoggedFeedback(
            arms=tuple("abcdefghij"), arm=x["arm"], propensity=x["propensity"], outcomes={"reward": x["reward"]}
        )
        result = evaluate(
            feedback,
            {"t": x["target"]},
            estimator=estimator,
            interval="bootstrap",
            predictions=x["q"] if estimator == "dr" else None,
            rng=np.random.default_rng(1),
        )
        seconds = time.perf_counter() - start
        e = result.estimate("t")
        out[estimator] = {"seconds": seconds, "value": e.value, "lower": e.lower, "upper": e.upper}
        out.setdefault("peak_mib", peak_mib())
    print(json.dumps(out))


def speed(args):
    ours = child([sys.executable, __file__, "speed-ours", "--rows", str(args.rows)])
    peer = run_obp(args.obp, ["--rows", str(args.rows)]) if args.obp else {}
    print(f"\n### {args.rows} rows x 10 arms, 1,000 resamples, one process each")
    print("| | armwise s | obp s | ratio | armwise interval | obp interval |\n|---|---|---|---|---|---|")
    for name in ("dr", "snips", "ips"):
        a, b = ours[name], peer.get(name)
        theirs = f"{b['seconds']:.2f} | {b['seconds'] / a['seconds']:.1f}x" if b else " | "
        interval = f"{b['lower']:.5f} {b['upper']:.5f}" if b else ""
        print(f"| {name} | {a['seconds']:.3f} | {theirs} | {a['lower']:.5f} {a['upper']:.5f} | {interval} |")
    print(
        f"peak memory of the dr run: armwise {ours['peak_mib']:.0f} MiB (inputs alone {ours['inputs_mib']:.0f})", end=""
    )
    print(f", obp {peer['peak_mib']:.0f} MiB (inputs alone {peer['inputs_mib']:.0f})" if peer else "")
    save(args, {"ours": ours, "obp": peer})


def stream_ours(args):
    """A log of scalar columns: pi_e of the logged arm is enough for IPS and SNIPS with a deterministic target."""
    import duckdb

    from armwise.evaluation import LoggedFeedback, StreamingEvaluation

    start = time.perf_counter()
    streams = {name: StreamingEvaluation(estimator=name) for name in ("ips", "snips")}
    connection = duckdb.connect(config={"memory_limit": "300MB", "threads": 1})
    relation = connection.sql(f"select arm, propensity, reward, target from '{args.path}'")
    reader = relation.to_arrow_reader(1 << 17)
    for batch in reader:
        column = {name: batch.column(name).to_numpy() for name in batch.schema.names}
        feedback = LoggedFeedback(
            arms=tuple("abcdefghij"),
            arm=column["arm"],
            propensity=column["propensity"],
            outcomes={"reward": column["reward"]},
        )
        for evaluation in streams.values():
            evaluation.update(feedback, {"t": column["target"]})
    for name, evaluation in streams.items():
        e = evaluation.result().estimate("t")
        print(f"{name}: {e.value:.5f} [{e.lower:.5f}, {e.upper:.5f}]")
    print(f"{time.perf_counter() - start:.2f} s, peak {peak_mib():.0f} MiB")


def stream(args):
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/log.parquet"
        connection = duckdb.connect()
        connection.sql("select setseed(0.5)")
        connection.sql(
            f"copy (select floor(random() * 10)::int as arm, 0.1::double as propensity, (random() < 0.5)::int::double "
            f"as reward, floor(random() * 10)::int as target from range({args.rows})) to '{path}' (format parquet)"
        )
        print(f"{args.rows} rows, {Path(path).stat().st_size / 2**20:.0f} MiB of Parquet")
        connection.close()
        print(
            subprocess.run(
                [sys.executable, __file__, "stream-ours", "--path", path], check=True, text=True, capture_output=True
            ).stdout
        )


# ---------------------------------------------------------------------------------------------- thresholds


def thresholds(args):
    import importlib

    from armwise.evaluation import LoggedFeedback, evaluate

    module = importlib.import_module("armwise.evaluation.slope")
    paired = module.paired_slope

    def published(estimates, covariance):
        return module.slope(estimates, np.minimum.accumulate(1.96 * np.sqrt(np.diag(covariance))))

    print("| widths | estimator | bias | RMSE |\n|---|---|---|---|")
    for label, rule in (("published", published), ("paired", paired), ("no threshold: ips, snips, dr", None)):
        module.paired_slope = rule or paired
        for name in ("clipped_ips", "sub_gaussian_ips", "switch_dr", "dr_os") if rule else ("ips", "snips", "dr"):
            errors = []
            for seed in range(200):
                rng = np.random.default_rng([seed, 9])
                p = rng.beta(0.4, 2.0, 1000).clip(1e-3, 1 - 1e-3)
                arm = (rng.random(1000) < p).astype(int)
                log = LoggedFeedback(
                    arms=("a", "b"),
                    arm=arm,
                    propensity=np.where(arm == 1, p, 1 - p),
                    outcomes={"r": (rng.random(1000) < 0.4 + 0.2 * arm + 0.2 * p).astype(float)},
                )
                truth = 0.6 + 0.2 * p.mean()
                errors.append(evaluate(log, {"t": np.ones(1000, int)}, estimator=name, force=True).value[0, 0] - truth)
            print(f"| {label} | {name} | {np.mean(errors):+.4f} | {np.sqrt(np.mean(np.square(errors))):.4f} |")
    module.paired_slope = paired


# ---------------------------------------------------------------------------------------------- ranking


def ranking(args):
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    from armwise.evaluation import ESTIMATORS, LoggedFeedback, evaluate

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[: len(y) // 2], order[len(y) // 2 :]
    scaled = x / 16.0
    good = LogisticRegression(max_iter=500).fit(scaled[train], y[train]).predict(scaled)
    weak = LogisticRegression(max_iter=500).fit(scaled[train[:60], :8], y[train[:60]]).predict(scaled[:, :8])
    k, n = 10, len(test)
    reward = np.eye(k)[y]
    target = np.eye(k)[good]
    truth = float((target[test] * reward[test]).sum(axis=1).mean())
    worlds = {
        "near": 0.7 * target + 0.3 / k,
        "far": 0.9 * np.eye(k)[weak] + 0.1 / k,
    }
    print(f"{n} rows, 64 features, 10 arms, target value {truth:.4f}; noisy rewards: flipped with probability 1/4")
    for label, logging in worlds.items():
        errors: dict[str, list] = {}
        for seed in range(args.replications):
            rng = np.random.default_rng([seed, 3])
            rows = test[rng.integers(0, n, n)]
            p = logging[rows]
            arm = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, k - 1)
            flip = rng.random(n) < 0.25
            seen = np.where(flip, 1 - reward[rows, arm], reward[rows, arm])
            log = LoggedFeedback(
                arms=tuple("0123456789"),
                arm=arm,
                propensity=p[np.arange(n), arm],
                outcomes={"r": seen},
                features=scaled[rows],
                bounds={"r": (0.0, 1.0)},
                minimum_propensity=float(logging.min()),
            )
            for name in ESTIMATORS:
                value = evaluate(log, {"t": good[rows]}, estimator=name, rng=rng, force=True).value[0, 0]
                errors.setdefault(name, []).append(value - (0.25 + 0.5 * truth))
        print(f"\n### logged {label} the target\n| estimator | bias | RMSE |\n|---|---|---|")
        found = {name: np.sqrt(np.mean(np.square(values))) for name, values in errors.items()}
        for name in sorted(found, key=found.get):
            print(f"| {name} | {np.mean(errors[name]):+.4f} | {found[name]:.4f} |")
        for better, worse, source in (
            ("dr", "ips", "Dudik et al. 2014"),
            ("dr", "dm", "Dudik et al. 2014"),
            ("snips", "ips", "Swaminathan & Joachims 2015"),
            ("switch_dr", "dr", "Wang et al. 2017"),
            ("dr_os", "dr", "Su et al. 2020"),
            ("mrdr", "dr", "Farajtabar et al. 2018"),
        ):
            gap = np.square(errors[worse]) - np.square(errors[better])
            z = gap.mean() / (gap.std() / np.sqrt(len(gap)) + 1e-12)
            says = "agrees" if z > 1.96 else "differs" if z < -1.96 else "no difference shown"
            print(f"{better} better than {worse} ({source}): {says} (z = {z:+.1f})")


# ---------------------------------------------------------------------------------------------- obp, in its own process


def obp_side(args):
    stub_torch()
    from obp.ope import (
        DirectMethod,
        DoublyRobust,
        InverseProbabilityWeighting,
        SelfNormalizedDoublyRobust,
        SelfNormalizedInverseProbabilityWeighting,
    )

    def keywords(x):
        n = len(x["reward"])
        return {
            "reward": x["reward"],
            "action": x["action"],
            "pscore": x["pscore"],
            "action_dist": x["action_dist"][:, :, None],
            "position": np.zeros(n, dtype=int),
            "estimated_rewards_by_reg_model": x["q"][:, :, None],
        }

    def interval(estimator, x, seed):
        found = estimator.estimate_interval(n_bootstrap_samples=1000, random_state=seed, **keywords(x))
        return float(found["95.0% CI (lower)"]), float(found["95.0% CI (upper)"])

    kinds = {
        "dm": DirectMethod(),
        "ips": InverseProbabilityWeighting(),
        "snips": SelfNormalizedInverseProbabilityWeighting(),
        "dr": DoublyRobust(),
        "sndr": SelfNormalizedDoublyRobust(),
    }
    out = {}
    if args.folder:
        for path in sorted(Path(args.folder).glob("*.npz")):
            target, seed = path.stem.rsplit("-", 1)
            x = dict(np.load(path))
            for name, estimator in kinds.items():
                out.setdefault(f"{target}/{name}", []).append(interval(estimator, x, int(seed)))
    else:
        raw = speed_arrays(args.rows)
        x = {"reward": raw["reward"], "action": raw["arm"], "pscore": raw["propensity"], "action_dist": raw["target"]}
        x["q"] = raw["q"]
        out["inputs_mib"] = peak_mib()
        for name in ("dr", "snips", "ips"):
            start = time.perf_counter()
            value = float(kinds[name].estimate_policy_value(**keywords(x)))
            lower, upper = interval(kinds[name], x, 1)
            out[name] = {"seconds": time.perf_counter() - start, "value": value, "lower": lower, "upper": upper}
            out.setdefault("peak_mib", peak_mib())
    print(json.dumps(out))


def stub_torch():
    class Empty(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    names = ["torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.utils", "torch.utils.data"]
    sys.modules.update({name: Empty(name) for name in names})
    for name in names[1:]:
        parent, _, leaf = name.rpartition(".")
        setattr(sys.modules[parent], leaf, sys.modules[name])


# ---------------------------------------------------------------------------------------------- odds and ends


def run_obp(python, arguments, seeds=None):
    if seeds:
        print(f"  obp on {seeds} of the logs", file=sys.stderr, flush=True)
    return child([python, __file__, "obp-side", *arguments])


def child(command):
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def save(args, rows):
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1, default=float))


def main():
    commands = {
        "coverage": coverage,
        "speed": speed,
        "stream": stream,
        "thresholds": thresholds,
        "ranking": ranking,
        "speed-ours": speed_ours,
        "stream-ours": stream_ours,
        "obp-side": obp_side,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=commands)
    parser.add_argument("--replications", type=int, default=500)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--table", default="mmlu_pro", choices=("mmlu_pro", "routerbench_subset"))
    parser.add_argument("--behaviour", help="only this logging policy, by its name in the report")
    parser.add_argument("--obp", help="python of an environment that has obp 0.5.7")
    parser.add_argument("--obp-replications", type=int, default=100)
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.rows is None:
        args.rows = {"coverage": 10_000, "stream": 10_000_000}.get(args.command, 1_000_000)
    commands[args.command](args)


if __name__ == "__main__":
    main()
