"""Whether a quality floor is being held: what judged traffic proves, at any time it is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from armwise.contracts import State
from armwise.evaluation.intervals import SequentialComparison


@dataclass(frozen=True, kw_only=True, slots=True)
class FloorReport:
    """How a quality floor stands, on all judged requests for which the reference arm was eligible.

    ``difference`` is the mean quality less ``fraction`` times the reference's; ``lower`` and ``upper`` bound its
    running average, together at ``level``, at all times at once.
    """

    reference: str
    fraction: float
    judged: int
    quality: float
    """Mean judged quality; NaN before the first judgement."""
    reference_quality: float
    """What the reference would have had on the same requests: doubly robust, from its own draws; NaN likewise."""
    difference: float
    lower: float
    upper: float
    level: float
    verdict: str
    """``holding`` (lower >= 0), ``short`` (upper < 0), ``unproven``, or ``reference left`` the pool."""
    cost_weight: float
    share: float
    """Of the traffic, how much the policy decides; the rest goes to the reference."""


class Evidence:
    """An anytime-valid record of mean quality against ``fraction`` times the reference's.

    The reference is tried on every request with a known probability p of at least the floor's exploration, so
    1{drawn} / p weights its judgements to all of the traffic, whatever the model believes; where judges look at a
    sample, 1 / P(looked at) weights both sides. Only the first judgement of a decision counts: a bet cannot be taken
    back. See :class:`armwise.evaluation.intervals.SequentialComparison` for the sequence.
    """

    def __init__(self, *, fraction: float, level: float = 0.95) -> None:
        self.level = level
        self._sequence = SequentialComparison(level=level, factor=fraction)
        self._weight = 0.0
        self._quality = 0.0
        self._reference = 0.0

    def add(self, quality: float, *, predicted_reference: float, reference_weight: float, seen_weight: float) -> None:
        """One judgement.

        Args:
            quality: of the arm that was drawn.
            predicted_reference: the reference's quality as predicted before.
            reference_weight: 1 / p where the reference was drawn, else 0.
            seen_weight: 1 / the probability with which it was judged.
        """
        self._sequence.update(quality, seen_weight, seen_weight * reference_weight)
        self._weight += seen_weight
        self._quality += seen_weight * quality
        self._reference += seen_weight * (predicted_reference + reference_weight * (quality - predicted_reference))

    @property
    def judged(self) -> int:
        return self._sequence.count

    @property
    def quality(self) -> float:
        return self._quality / self._weight if self._weight else float("nan")

    @property
    def reference_quality(self) -> float:
        return self._reference / self._weight if self._weight else float("nan")

    @property
    def bounds(self) -> tuple[float, float, float]:
        """Difference, and the lower and upper bound on its running average."""
        if not self.judged:
            return float("nan"), -1.0, 1.0
        return self._sequence.difference, self._sequence.lower, self._sequence.upper

    def state(self) -> State:
        sums = {"weight": self._weight, "quality": self._quality, "reference": self._reference}
        return {**sums, "sequence": self._sequence.state()}

    def restore(self, state: State) -> None:
        self._weight = float(state["weight"])
        self._quality = float(state["quality"])
        self._reference = float(state["reference"])
        self._sequence.restore(state["sequence"])
