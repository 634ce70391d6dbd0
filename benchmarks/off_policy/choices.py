"""Which estimator, and which threshold?"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from armwise.evaluation import ESTIMATORS, LoggedFeedback, evaluate, slope
from off_policy.machine import Array

PUBLISHED = (
    ("dr", "ips", "Dudik et al. 2014"),
    ("dr", "dm", "Dudik et al. 2014"),
    ("snips", "ips", "Swaminathan & Joachims 2015"),
    ("switch_dr", "dr", "Wang et al. 2017"),
    ("dr_os", "dr", "Su et al. 2020"),
    ("mrdr", "dr", "Farajtabar et al. 2018"),
)
"""The better, the worse, and who says so."""


def thresholds() -> None:
    """Print errors of tuned estimators, on a log with heavy weights."""
    paired = slope.paired_slope

    def published(estimates: Array, covariance: Array, *, z: float = 1.96) -> int:
        return slope.slope(estimates, np.minimum.accumulate(z * np.sqrt(np.diag(covariance))))

    print("| widths | estimator | bias | RMSE |\n|---|---|---|---|")
    for label, rule in (("published", published), ("paired", paired), ("no threshold: ips, snips, dr", None)):
        slope.paired_slope = rule or paired
        for name in ("clipped_ips", "sub_gaussian_ips", "switch_dr", "dr_os") if rule else ("ips", "snips", "dr"):
            errors = np.array([_error_under_heavy_weights(name, seed) for seed in range(200)])
            print(f"| {label} | {name} | {errors.mean():+.4f} | {np.sqrt((errors**2).mean()):.4f} |")
    slope.paired_slope = paired


def _error_under_heavy_weights(name: str, seed: int) -> float:
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
    return float(evaluate(log, {"t": np.ones(1000, int)}, estimator=name, force=True).value[0, 0] - truth)


def ranking(replications: int) -> None:
    """Print errors beside the published order."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[: len(y) // 2], order[len(y) // 2 :]
    scaled = x / 16.0
    good = LogisticRegression(max_iter=500).fit(scaled[train], y[train]).predict(scaled)
    weak = LogisticRegression(max_iter=500).fit(scaled[train[:60], :8], y[train[:60]]).predict(scaled[:, :8])
    k, n = 10, len(test)
    reward, target = np.eye(k)[y], np.eye(k)[good]
    truth = float((target[test] * reward[test]).sum(axis=1).mean())
    print(f"{n} rows, 64 features, 10 arms, target value {truth:.4f}; noisy rewards: flipped with probability 1/4")
    for label, logging in (("near", 0.7 * target + 0.3 / k), ("far", 0.9 * np.eye(k)[weak] + 0.1 / k)):
        errors: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
        for seed in range(replications):
            rng = np.random.default_rng([seed, 3])
            rows = test[rng.integers(0, n, n)]
            p = logging[rows]
            arm = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, k - 1)
            flip = rng.random(n) < 0.25
            log = LoggedFeedback(
                arms=tuple("0123456789"),
                arm=arm,
                propensity=p[np.arange(n), arm],
                outcomes={"r": np.where(flip, 1 - reward[rows, arm], reward[rows, arm])},
                features=scaled[rows],
                bounds={"r": (0.0, 1.0)},
                minimum_propensity=float(logging.min()),
            )
            for name, found in errors.items():
                value = evaluate(log, {"t": good[rows]}, estimator=name, rng=rng, force=True).value[0, 0]
                found.append(float(value) - (0.25 + 0.5 * truth))
        _report(label, {name: np.array(found) for name, found in errors.items()})


def _report(label: str, errors: dict[str, Array]) -> None:
    print(f"\n### logged {label} the target\n| estimator | bias | RMSE |\n|---|---|---|")
    rmse = {name: float(np.sqrt((found**2).mean())) for name, found in errors.items()}
    for name in sorted(rmse, key=rmse.__getitem__):
        print(f"| {name} | {errors[name].mean():+.4f} | {rmse[name]:.4f} |")
    for better, worse, source in PUBLISHED:
        gap = errors[worse] ** 2 - errors[better] ** 2
        z = gap.mean() / (gap.std() / np.sqrt(len(gap)) + 1e-12)
        says = "agrees" if z > 1.96 else "differs" if z < -1.96 else "no difference shown"
        print(f"{better} better than {worse} ({source}): {says} (z = {z:+.1f})")
