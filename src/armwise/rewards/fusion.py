"""Several noisy sources, one estimate: what each is worth, found where they speak of the same decision.

The model is that of random effects: source s reports quality + bias[s] + error, with errors independent and of
variance noise[s]^2. The differences of two sources on the same decisions give bias[s] - bias[t] and
noise[s]^2 + noise[t]^2, free of the quality itself; three sources identify all, two share what is seen in proportion to
what they were declared to be, and everything is shrunk towards the declaration (bias 0, the kind's reliability) by as
much as a few reports are worth. The moments are sums, so a revised or retracted report is taken out again, and the fold
over the log gives them bit for bit. (Moments as in DerSimonian & Laird 1986 and Grubbs 1948; shrunk, since overlaps are
few.)

It stops being right where sources copy each other, and where an error depends on the arm: then a bias is learned as
quality, as it would be from that source alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from armwise.contracts import SourceChange, State
from armwise.rewards.kinds import RULES, RewardRules
from armwise.rewards.resolve import Opinion
from armwise.rewards.sources import Standing

ESTIMATED = "estimated where sources overlap"
"""The reason of a change that this model proposed."""

_BIAS = 0.1
"""Standard deviation of the biases of sources, before anything is seen."""
_PATIENCE = 20.0
"""Overlaps that a declared noise is worth."""
_LEAST_VARIANCE = 1e-4
_MOST_SOURCES = 2_000


class Worth(NamedTuple):
    """What a source is found to be: its bias, and the standard deviation of its errors."""

    bias: float
    noise: float


class SourceModel:
    """Moments of the differences between sources, and each one's share of the lessons. Deterministic, bounded.

    Of more than 2,000 sources the later ones are taken as declared.
    """

    def __init__(self, rules: RewardRules = RULES) -> None:
        self.rules = rules
        self._pairs: dict[tuple[str, str], list[float]] = {}
        self._declared: dict[str, float] = {}
        self._mass: dict[str, float] = {}
        self._center: dict[str, float] = {}
        self._news = 0
        self._due = 25

    # ---------------------------------------------------------------------------- events

    def learn(self, after: Sequence[Opinion], before: Sequence[Opinion]) -> None:
        """Take in what is said of one decision by now, in place of what was said before."""
        for said, sign in ((before, -1.0), (after, 1.0)):
            if said:
                self._add(said, sign)
        self._news += 1

    def _add(self, said: Sequence[Opinion], sign: float) -> None:
        reports: dict[str, tuple[float, float]] = {}
        for one in said:
            if one.source not in self._declared:
                if len(self._declared) >= _MOST_SOURCES:
                    continue
                self._mass[one.source] = 0.0
            self._declared[one.source] = one.declared
            total, count = reports.get(one.source, (0.0, 0.0))
            reports[one.source] = total + one.reported, count + 1.0
        means = sorted((source, total / count) for source, (total, count) in reports.items())
        for source, _ in means:
            self._mass[source] += sign / len(means)
        for i, (source, mean) in enumerate(means):
            for other, other_mean in means[i + 1 :]:
                moments = self._pairs.setdefault((source, other), [0.0, 0.0, 0.0])
                difference = mean - other_mean
                moments[0] += sign
                moments[1] += sign * difference
                moments[2] += sign * difference * difference

    def changed(self, change: SourceChange) -> None:
        """A source's standing was changed. One that may not train, or was set anew by others, starts afresh."""
        if change.reason == ESTIMATED:
            return
        self._center[change.source] = -change.offset
        for pair in [pair for pair in self._pairs if change.source in pair]:
            del self._pairs[pair]

    # ---------------------------------------------------------------------------- what follows

    @property
    def due(self) -> bool:
        """Whether there is enough news to look again."""
        return self._news >= self._due

    def propose(self, standing: Standing, at: float) -> list[SourceChange]:
        """Changes that bring the standing in line with what was found; none where it is so nearly."""
        self._news, self._due = 0, min(2 * self._due, 500)
        found, weights = self.estimate(), self._weights()
        holds = standing.latest()
        changes = []
        for source in sorted(found.keys() | weights.keys()):
            now = holds.get(source, SourceChange(source=source))
            if not now.training:
                continue
            offset, noise = self._reading(source, found.get(source), now)
            wanted = SourceChange(
                source=source,
                offset=offset,
                slope=now.slope,
                noise=noise,
                weight=weights.get(source, 1.0),
                reason=ESTIMATED,
                at=at,
            )
            if _differs(wanted, now):
                changes.append(wanted)
        for source in self._mass:
            self._mass[source] *= 0.5  # an older half counts half
        return changes

    def _reading(self, source: str, worth: Worth | None, now: SourceChange) -> tuple[float, float | None]:
        """Offset and noise by which a source is to be read.

        A client is never believed beyond its declaration, and its bias is counted as noise, not corrected: whoever
        always says the same looks free of noise, and may change his mind once he is believed.
        """
        declared = self._declared.get(source, 0.0)
        if worth is None or declared == 0.0:
            return now.offset, now.noise
        if self.rules.is_client(source):
            return now.offset, math.sqrt(max(declared, worth.noise**2 + worth.bias**2))
        return -worth.bias, worth.noise

    def estimate(self) -> dict[str, Worth]:
        """Source -> its worth, for those that overlap with another."""
        pairs = [(pair, moments) for pair, moments in sorted(self._pairs.items()) if moments[0] > 1.5]
        sources = sorted({source for pair, _ in pairs for source in pair})
        if not sources:
            return {}
        index = {source: i for i, source in enumerate(sources)}
        declared = np.array([self._declared[source] for source in sources])
        left = np.array([index[pair[0]] for pair, _ in pairs])
        right = np.array([index[pair[1]] for pair, _ in pairs])
        count, total, square = np.array([moments for _, moments in pairs]).T
        mean = total / count
        spread = np.maximum(square - count * mean * mean, 0.0) / (count - 1.0)
        variance = _variances(declared, left, right, count, spread)
        center = np.array([self._center.get(source, 0.0) for source in sources])
        bias = _biases(center, declared, variance, left, right, count, mean)
        return {
            source: Worth(float(b), float(np.sqrt(v))) for source, b, v in zip(sources, bias, variance, strict=True)
        }

    def _weights(self) -> dict[str, float]:
        """Client -> its weight, below 1 where it would make up more of the lessons than one client may."""
        clients = [source for source in self._mass if self.rules.is_client(source)]
        total, most = sum(self._mass.values()), self.rules.max_client_share
        if len(clients) * most < 1.0:
            return {}  # so few clients cannot all be below the limit
        weights = {}
        for client in clients:
            own = self._mass[client]
            over = own > max(most * total, 1.0)
            weights[client] = most * (total - own) / (own * (1.0 - most)) if over else 1.0
        return weights

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        return {
            "pairs": [[*pair, *moments] for pair, moments in self._pairs.items()],
            "declared": dict(self._declared),
            "mass": dict(self._mass),
            "center": dict(self._center),
            "news": self._news,
            "due": self._due,
        }

    def restore(self, state: State) -> None:
        self._pairs = {(row[0], row[1]): [float(value) for value in row[2:]] for row in state["pairs"]}
        self._declared, self._mass = dict(state["declared"]), dict(state["mass"])
        self._center = dict(state["center"])
        self._news, self._due = int(state["news"]), int(state["due"])


def _differs(wanted: SourceChange, now: SourceChange) -> bool:
    """Whether a change is worth telling."""
    noise, before = wanted.noise or 0.0, now.noise or 0.0
    return (
        abs(wanted.offset - now.offset) > 0.01
        or abs(noise - before) > 0.1 * max(before, 0.02)
        or abs(wanted.weight - now.weight) > 0.1 * now.weight
    )


def _variances(
    declared: np.ndarray, left: np.ndarray, right: np.ndarray, count: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Least squares of spread = variance[left] + variance[right], shrunk; what is declared exact stays exact."""
    free = declared > 0.0
    variance = declared.copy()
    for _ in range(3):
        scale = np.maximum(variance[left] + variance[right], _LEAST_VARIANCE)
        weight = count / (2.0 * scale * scale)
        prior = _PATIENCE / (2.0 * np.maximum(declared, _LEAST_VARIANCE) ** 2)
        system, target = np.diag(prior), prior * declared
        for s, t, w, seen in zip(left, right, weight, spread, strict=True):
            system[s, s] += w
            system[t, t] += w
            system[s, t] += w
            system[t, s] += w
            target[s] += w * seen
            target[t] += w * seen
        fixed = np.flatnonzero(~free)
        system[fixed] = 0.0
        system[fixed, fixed] = 1.0
        target[fixed] = 0.0
        variance = np.where(free, np.maximum(np.linalg.solve(system, target), _LEAST_VARIANCE), 0.0)
    return variance


def _biases(
    center: np.ndarray,
    declared: np.ndarray,
    variance: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    count: np.ndarray,
    mean: np.ndarray,
) -> np.ndarray:
    """Posterior mean of the biases given the mean differences, each known up to its own error."""
    prior = np.where(declared > 0.0, 1.0 / _BIAS**2, 1e8)
    system, target = np.diag(prior), prior * center
    weight = count / np.maximum(variance[left] + variance[right], _LEAST_VARIANCE)
    for s, t, w, seen in zip(left, right, weight, mean, strict=True):
        system[s, s] += w
        system[t, t] += w
        system[s, t] -= w
        system[t, s] -= w
        target[s] += w * seen
        target[t] -= w * seen
    return np.linalg.solve(system, target)
