"""What was chosen, with all that is needed to replay it bit for bit and to learn from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from armwise.contracts.requests import Context
from armwise.contracts.values import Vector


class Predictions(NamedTuple):
    """Per arm of the action set, in its order: shape (arms,) each."""

    quality: Vector
    cost_usd: Vector
    latency_ms: Vector


class Trade(NamedTuple):
    """The exchange rates in force: utility = quality - cost_weight * cost / ref - latency_weight * latency / ref."""

    cost_weight: float = 0.0
    latency_weight: float = 0.0
    cost_ref_usd: float = 1e-3
    latency_ref_ms: float = 1e3


class Choice(NamedTuple):
    """What a policy answers: the probability of each arm of the action set, and the quality it predicted.

    ``method`` says how the probabilities were had: ``exact``, ``quadrature:N`` or ``draws:N``. In each case they are
    the very probabilities that the arm is then drawn from.
    """

    probabilities: Vector
    quality: Vector
    method: str = "exact"


class Beside(NamedTuple):
    """The candidate policy that stands beside the serving one while it is being rolled out."""

    version: str
    share: float
    """Of the draw that it has; 0 where it only watches."""
    probability_of: Vector
    """What it would have drawn from, in the order of the action set; shape (arms,)."""


class Decision(NamedTuple):
    """One routing choice, with all that is needed to replay it bit for bit and to learn from it.

    ``arms`` is the action set; ``probability_of``, ``predictions`` follow its order. ``seed`` is the 64-bit seed of
    this decision's own random draw. Where ``method`` is ``session`` nothing was drawn: see :mod:`armwise.sessions`.
    """

    id: str
    at: float
    """Unix time, seconds."""
    arm: str
    propensity: float
    arms: tuple[str, ...]
    probability_of: Vector
    excluded: Mapping[str, str]
    """Arm -> the constraint that excluded it."""
    predictions: Predictions
    trade: Trade
    context: Context
    method: str
    seed: int
    policy_version: str
    feature_version: str
    tenant: str | None = None
    session: str | None = None
    head: str | None = None
    """Where the arm is that of a session: the decision that drew it, to which the quality is credited."""
    switched: str | None = None
    """Why the session left its former arm, where it did."""
    beside: Beside | None = None
    """The candidate that is being tried; ``probability_of`` is the mixture that the arm was drawn from."""

    @property
    def probabilities(self) -> dict[str, float]:
        """Arm -> the probability with which it would have been drawn; sums to one over the action set."""
        return dict(zip(self.arms, self.probability_of.tolist(), strict=True))

    @property
    def utilities(self) -> dict[str, float]:
        """Arm -> predicted utility under the trade in force."""
        return dict(zip(self.arms, utility(self.predictions, self.trade).tolist(), strict=True))

    def explain(self) -> str:
        """The decision in words: one line per arm, best predicted utility first, then what was excluded and why."""
        rows = zip(
            self.arms, self.probability_of, *self.predictions, utility(self.predictions, self.trade), strict=True
        )
        width = max(map(len, (*self.arms, *self.excluded, "arm")))
        lines = [
            f"{self.arm} was drawn with probability {self.propensity:.4g} ({self.method})",
            f"  {'arm':<{width}}  {'prob.':>7}  {'quality':>7}  {'cost USD':>10}  {'latency ms':>10}  {'utility':>8}",
        ]
        for arm, p, q, c, ms, u in sorted(rows, key=lambda row: -row[-1]):
            mark = "*" if arm == self.arm else " "
            lines.append(f"{mark} {arm:<{width}}  {p:7.4f}  {q:7.3f}  {c:10.3g}  {ms:10.0f}  {u:8.3f}")
        lines += [f"  {arm:<{width}}  excluded: {reason}" for arm, reason in self.excluded.items()]
        if self.head is not None:
            lines.append(f"  the session keeps the arm that decision {self.head} drew")
        if self.switched is not None:
            lines.append(f"  the session left its former arm: {self.switched}")
        if self.beside is not None:
            own = float(self.beside.probability_of[self.arms.index(self.arm)])
            lines.append(
                f"  candidate {self.beside.version} has {self.beside.share:.4g} of the draw, and would have drawn "
                f"{self.arm} with probability {own:.4g}"
            )
        trade = self.trade
        lines.append(
            f"  task {self.context.task}, {self.context.input_tokens} input tokens, "
            f"cost weight {trade.cost_weight:.4g} per {trade.cost_ref_usd:.3g} USD, "
            f"latency weight {trade.latency_weight:.4g} per {trade.latency_ref_ms:.0f} ms, "
            f"policy {self.policy_version}, features {self.feature_version}"
        )
        return "\n".join(lines)


def utility(predictions: Predictions, trade: Trade) -> Vector:
    """Quality minus the penalties of cost and latency; shape (arms,)."""
    return predictions.quality - penalty(predictions.cost_usd, predictions.latency_ms, trade)


def penalty(cost_usd: Vector, latency_ms: Vector, trade: Trade) -> Vector:
    """What cost and latency take off the quality; shape (arms,)."""
    value = cost_usd * (trade.cost_weight / trade.cost_ref_usd)
    if trade.latency_weight:
        value = value + latency_ms * (trade.latency_weight / trade.latency_ref_ms)
    return value
