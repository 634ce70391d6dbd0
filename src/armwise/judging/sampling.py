"""Which decisions a judge looks at: a budget, spent where the policy is unsure. The exact probability is logged."""

from __future__ import annotations

import hashlib
import math

from armwise.arrays import uniform
from armwise.contracts import Decision
from armwise.errors import BadInput

_MASK = (1 << 64) - 1


class JudgeSampler:
    """Probability of judging = rate x (how unsure the policy was, relative to its mean) x (how the budget stands).

    ``rate`` of all decisions are judged in the long run. How unsure the policy was of the arm that it drew is one less
    that arm's propensity: what it explores is worth judging, what it would do anyway hardly. A share ``floor`` is spent
    evenly, so that every decision may be judged and what is measured on judged traffic can be reweighted. Up to
    ``ahead`` of the budget of the first ``horizon`` decisions may be spent before its time: judgements teach most
    while little is known.

    Raises:
        BadInput: on parameters out of range.
    """

    def __init__(
        self,
        rate: float,
        *,
        focus: float = 2.0,
        floor: float = 0.03,
        ahead: float = 0.4,
        horizon: int = 10_000,
        decisions: int = 0,
    ) -> None:
        if not 0.0 <= rate <= 1.0:
            raise BadInput(f"the rate of judging must be between 0 and 1, got {rate!r}")
        if focus < 0 or not 0.0 < floor <= 1.0 or not 0.0 <= ahead <= 1.0 or horizon < 1:
            raise BadInput(
                "judging needs focus >= 0, floor in (0, 1], ahead in [0, 1] and horizon >= 1, "
                f"got {focus}, {floor}, {ahead}, {horizon}"
            )
        self.rate, self.focus, self.floor, self.ahead, self.horizon = rate, focus, floor, ahead, horizon
        self._seen = decisions
        self._spent = rate * decisions
        self._mean = 0.5

    def probability(self, decision: Decision) -> float:
        """The probability with which the decision is to be judged; moves the budget on."""
        if self.rate == 1.0:
            return 1.0
        interest = self.floor + (1.0 - self.floor) * math.pow(uncertainty(decision), self.focus)
        self._seen += 1
        self._mean += (interest - self._mean) * max(0.01, 1.0 / (self._seen + 1.0))
        early = self.ahead * max(0.0, 1.0 - self._seen / self.horizon)
        left = self.rate * (self._seen + early * self.horizon) - self._spent
        patience = max(20.0, 0.05 * self.rate * self.horizon)
        haste = min(max(1.0 + left / patience, 0.1), 1.0 / max(self.rate, 1e-9))
        chance = min(1.0, self.rate * haste * interest / self._mean)
        self._spent += chance
        return chance


def uncertainty(decision: Decision) -> float:
    """How unsure the policy was that the arm it drew is the one to draw, in [0, 1]; 0 where it had no choice."""
    return min(max(1.0 - decision.propensity, 0.0), 1.0)


def drawn(decision: Decision, judge: str, probability: float) -> bool:
    """Whether a judge looks at a decision: a draw that follows from the decision's own seed and the judge's name."""
    salt = int.from_bytes(hashlib.blake2b(judge.encode(), digest_size=8).digest())
    return uniform((decision.seed ^ salt) & _MASK) < probability
