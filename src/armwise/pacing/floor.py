"""The lowest cost at a quality that is held."""

from __future__ import annotations

import math

from armwise.contracts import Context, Decision, JudgeDraw, Request, State, Trade, Vector


class QualityFloor:
    """Raises the price of cost as far as judged quality allows: quality >= fraction x the reference arm's.

    Each judgement compares the quality that came with the reference's predicted quality on the same request, and moves
    the logarithm of the cost weight by ``step`` per point of difference. Starts dear (weight 0.01), so that savings
    begin only when judgements have shown that there is room.
    """

    def __init__(
        self,
        *,
        fraction: float,
        reference: str,
        cost_ref_usd: float,
        latency_weight: float = 0.0,
        latency_ref_ms: float = 1_000.0,
        step: float = 0.03,
        start: float = 0.01,
    ) -> None:
        self.fraction = fraction
        self.reference = reference
        self.cost_ref_usd = cost_ref_usd
        self.latency_weight = latency_weight
        self.latency_ref_ms = latency_ref_ms
        self.step = step
        self._log_weight = math.log(start)

    kind = "quality floor"
    mixes = False

    def mixed(self, arms: tuple[str, ...], probabilities: Vector) -> Vector:
        return probabilities

    def trade(self, at: float, request: Request, context: Context) -> Trade:
        return Trade(math.exp(self._log_weight), self.latency_weight, self.cost_ref_usd, self.latency_ref_ms)

    def decided(self, decision: Decision) -> None: ...

    def judged(self, decision: Decision, quality: float, before: float | None) -> None:
        if self.reference not in decision.arms:
            return  # nothing to compare with on this request
        wanted = self.fraction * float(decision.predictions.quality[decision.arms.index(self.reference)])
        news = quality - (wanted if before is None else before)  # what is compared once is not compared again
        self._log_weight = min(max(self._log_weight + self.step * news, -9.0), 6.0)

    def drawn(self, draw: JudgeDraw) -> None: ...

    def state(self) -> State:
        return {"log_weight": self._log_weight}

    def restore(self, state: State) -> None:
        self._log_weight = float(state["log_weight"])
