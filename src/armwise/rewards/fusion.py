"""Several noisy sources, one estimate: what each is worth, found where they speak of the same decision.

The model is that of congeneric measures: source s reports a line in the quality plus an error, with errors independent
of each other and of the arm. How far each stretches or compresses the scale is found first
(:mod:`armwise.rewards.stretch`), and undone around the source's own mean. The differences of two sources so read give
bias[s] - bias[t] and noise[s]^2 + noise[t]^2, free of the quality itself; three sources identify all, two share what is
seen in proportion to what they were declared to be, and everything is shrunk towards the declaration (bias 0, slope 1,
the kind's reliability) by as much as a few reports are worth. The moments are sums, so a revised or retracted report is
taken out again, and the fold over the log gives them bit for bit. (Moments as in DerSimonian & Laird 1986 and Grubbs
1948; shrunk, since overlaps are few. Fused by inverse variance the readings are Bartlett's factor scores.)

It stops being right where sources copy each other, and where an error depends on the arm: then a bias is learned as
quality, as it would be from that source alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from armwise.contracts import SourceChange, State
from armwise.rewards.kinds import RULES, RewardRules
from armwise.rewards.resolve import Opinion
from armwise.rewards.sources import Standing
from armwise.rewards.stretch import Moments, common_scale

ESTIMATED = "estimated where sources overlap"
"""The reason of a change that this model proposed."""

_BIAS = 0.1
"""Standard deviation of the biases of sources, before anything is seen."""
_PATIENCE = 20.0
"""Overlaps that a declared noise is worth."""
_LEAST_VARIANCE = 1e-4
_MOST_SOURCES = 2_000


class Worth(NamedTuple):
    """What a source is found to be: its mean report less the mean quality, the standard deviation of its errors as it
    is to be read, and how it is to be read: quality = slope * report + offset."""

    bias: float
    noise: float
    slope: float
    offset: float


class SourceModel:
    """Moments of the differences between sources, and each one's share of the lessons. Deterministic, bounded.

    Of more than 2,000 sources the later ones are taken as declared.
    """

    def __init__(self, rules: RewardRules = RULES) -> None:
        self.rules = rules
        self._pairs: dict[tuple[str, str], dict[str, Moments]] = {}
        """Pair of sources -> arm -> moments of their reports on the same decisions."""
        self._declared: dict[str, float] = {}
        self._mass: dict[str, float] = {}
        self._center: dict[str, tuple[float, float]] = {}
        """Source -> slope and offset by which others set it to be read."""
        self._news = 0
        self._due = 25

    # ---------------------------------------------------------------------------- events

    def learn(self, after: Sequence[Opinion], before: Sequence[Opinion], *, arm: str = "") -> None:
        """Take in what is said of one decision by now, in place of what was said before."""
        for said, sign in ((before, -1.0), (after, 1.0)):
            if said:
                self._add(said, sign, arm)
        self._news += 1

    def _add(self, said: Sequence[Opinion], sign: float, arm: str) -> None:
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
                apart = "" if self.rules.is_client(source) or self.rules.is_client(other) else arm
                groups = self._pairs.setdefault((source, other), {})
                groups[apart] = groups.get(apart, Moments()).plus(sign, mean, other_mean)

    def changed(self, change: SourceChange) -> None:
        """A source's standing was changed. One that may not train, or was set anew by others, starts afresh."""
        if change.reason == ESTIMATED:
            return
        self._center[change.source] = change.slope, change.offset
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
            slope, offset, noise = self._reading(source, found.get(source), now)
            wanted = SourceChange(
                source=source,
                offset=offset,
                slope=slope,
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

    def _reading(self, source: str, worth: Worth | None, now: SourceChange) -> tuple[float, float, float | None]:
        """Slope, offset and noise by which a source is to be read.

        A client is never believed beyond its declaration, and its bias is counted as noise, not corrected: whoever
        always says the same looks free of noise, and may change his mind once he is believed.
        """
        declared = self._declared.get(source, 0.0)
        if worth is None or declared == 0.0:
            return now.slope, now.offset, now.noise
        if self.rules.is_client(source):
            return now.slope, now.offset, math.sqrt(max(declared, worth.noise**2 + worth.bias**2))
        return worth.slope, worth.offset, worth.noise

    def estimate(self) -> dict[str, Worth]:
        """Source -> its worth, for those that overlap with another."""
        pairs = [
            (pair, groups)
            for pair, groups in sorted(self._pairs.items())
            if _all(groups).decisions > 1.5 and not any(self._is_reversed(source) for source in pair)
        ]
        sources = sorted({source for pair, _ in pairs for source in pair})
        if not sources:
            return {}
        index = {source: i for i, source in enumerate(sources)}
        declared = np.array([self._declared[source] for source in sources])
        left = np.array([index[pair[0]] for pair, _ in pairs])
        right = np.array([index[pair[1]] for pair, _ in pairs])
        seen = np.array([_all(groups) for _, groups in pairs])
        set_by_others = np.array([self._center.get(source, (1.0, 0.0)) for source in sources])
        settled = np.array([source in self._center for source in sources]) | (declared == 0.0)
        slope, doubt = common_scale(
            [groups for _, groups in pairs],
            left,
            right,
            center=set_by_others[:, 0],
            declared=declared,
            settled=settled,
            spread=self.rules.scale_spread,
        )
        of_clients = [self.rules.is_client(s) or self.rules.is_client(t) for (s, t), _ in pairs]
        doubt[of_clients] = 1e6  # whoever always says the same looks free of noise
        pivot = _means(seen, left, right, len(sources))
        compared = _compare(seen, left, right, slope, pivot)
        declared = declared * slope * slope
        variance = _variances(declared, left, right, compared, doubt)
        center = pivot - (set_by_others[:, 0] * pivot + set_by_others[:, 1])
        bias = _biases(center, declared, variance, left, right, compared.overlaps, compared.mean)
        offset = pivot * (1.0 - slope) - bias
        found = zip(bias.tolist(), np.sqrt(variance).tolist(), slope.tolist(), offset.tolist(), strict=True)
        return {source: Worth(*worth) for source, worth in zip(sources, found, strict=True)}

    def _is_reversed(self, source: str) -> bool:
        """Whether others set it to be read against its own scale, or not by it at all: it is left as it is."""
        return source in self._center and self._center[source][0] <= 0.0

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
            "overlaps": [
                [*pair, arm, *moments] for pair, groups in self._pairs.items() for arm, moments in groups.items()
            ],
            "declared": dict(self._declared),
            "mass": dict(self._mass),
            "center": [[source, *reading] for source, reading in self._center.items()],
            "news": self._news,
            "due": self._due,
        }

    def accepts(self, state: State) -> bool:
        """Whether a saved state has its overlaps by arm; one that was saved before they were kept so has not."""
        return "overlaps" in state

    def restore(self, state: State) -> None:
        self._pairs = {}
        for source, other, arm, *moments in state["overlaps"]:
            self._pairs.setdefault((source, other), {})[arm] = Moments(*map(float, moments))
        self._declared, self._mass = dict(state["declared"]), dict(state["mass"])
        self._center = {source: (float(slope), float(offset)) for source, slope, offset in state["center"]}
        self._news, self._due = int(state["news"]), int(state["due"])


def _all(groups: Mapping[str, Moments]) -> Moments:
    """Moments of all arms together."""
    return Moments(*map(math.fsum, zip(*groups.values(), strict=True)))


def _means(seen: np.ndarray, left: np.ndarray, right: np.ndarray, sources: int) -> np.ndarray:
    """Mean report of each source over its overlaps, a decision counted once for every other source."""
    total, count = np.zeros(sources), np.zeros(sources)
    for side, column in ((left, 1), (right, 2)):
        np.add.at(total, side, seen[:, column])
        np.add.at(count, side, seen[:, 0])
    return total / count


class _Compared(NamedTuple):
    """Two sources on the decisions that both speak of, each read at its slope; per pair."""

    overlaps: np.ndarray
    mean: np.ndarray
    """Of the first's reading less the second's."""
    spread: np.ndarray
    """Variance of that: the sum of both noises."""
    excess: np.ndarray
    """Variance of the first's readings less that of the second's: the difference of both noises."""
    scale: np.ndarray
    """Mean of these two variances."""


def _compare(seen: np.ndarray, left: np.ndarray, right: np.ndarray, slope: np.ndarray, pivot: np.ndarray) -> _Compared:
    count, first, second, first_squared, second_squared, product = seen.T
    s, t = slope[left], slope[right]
    mean = (s * first - t * second) / count
    square = s * s * first_squared + t * t * second_squared - 2.0 * s * t * product
    of_first = s * s * (first_squared - first * first / count) / (count - 1.0)
    of_second = t * t * (second_squared - second * second / count) / (count - 1.0)
    return _Compared(
        overlaps=count,
        mean=mean + pivot[left] * (1.0 - s) - pivot[right] * (1.0 - t),
        spread=np.maximum(square - count * mean * mean, 0.0) / (count - 1.0),
        excess=of_first - of_second,
        scale=0.5 * (of_first + of_second),
    )


def _differs(wanted: SourceChange, now: SourceChange) -> bool:
    """Whether a change is worth telling."""
    noise, before = wanted.noise or 0.0, now.noise or 0.0
    return (
        abs(wanted.offset - now.offset) > 0.01
        or abs(wanted.slope - now.slope) > 0.05 * now.slope
        or abs(noise - before) > 0.1 * max(before, 0.02)
        or abs(wanted.weight - now.weight) > 0.1 * now.weight
    )


def _variances(
    declared: np.ndarray, left: np.ndarray, right: np.ndarray, compared: _Compared, doubt: np.ndarray
) -> np.ndarray:
    """Least squares of what is seen of the sums and differences of noises, shrunk; what is declared exact stays exact.

    The difference of two noises is that of the spreads of their readings (Grubbs), as far as the ratio of the scales is
    known: ``doubt`` is the variance of its logarithm.
    """
    free = declared > 0.0
    variance = declared.copy()
    for _ in range(3):
        sampling = 2.0 * np.maximum(variance[left] + variance[right], _LEAST_VARIANCE) ** 2 / compared.overlaps
        of_sum = 1.0 / sampling
        of_difference = 1.0 / (sampling + 4.0 * compared.scale**2 * (1.0 / compared.overlaps + doubt))
        prior = _PATIENCE / (2.0 * np.maximum(declared, _LEAST_VARIANCE) ** 2)
        system, target = np.diag(prior), prior * declared
        rows = zip(left, right, of_sum, compared.spread, of_difference, compared.excess, strict=True)
        for s, t, u, total, w, excess in rows:
            system[s, s] += u + w
            system[t, t] += u + w
            system[s, t] += u - w
            system[t, s] += u - w
            target[s] += u * total + w * excess
            target[t] += u * total - w * excess
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
