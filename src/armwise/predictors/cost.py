"""Billed cost of a request on each arm: input tokens are known, output tokens are predicted, prices are given."""

import numpy as np
from numpy.typing import NDArray

from armwise.contracts import Arm, Slots, State, Vector
from armwise.errors import BadInput
from armwise.predictors.pooled import PooledLogModel


class CostModel:
    """cost(x, arm) = input price * input tokens + output price * predicted output tokens, in USD.

    Prices stay outside what is learned, so a change of price acts at once. A plan over several models is priced at the
    sum of its models' prices, times the share of that which it really spends: a ratio of totals, learned from its
    bills. A cascade that mostly stops at its first tier has a small one; samples and judges can make it more than 1. A
    new cascade is expected to stop at its first model: nobody explores an arm for fear of what it may cost, and the
    first bills put it right.

    Args:
        dimension: length of the context vectors.
        typical_output_tokens: expected before anything is seen.
        patience: how many bills the share that a plan starts with is worth.
        forgetting: of the share, per bill.
    """

    def __init__(
        self,
        dimension: int,
        *,
        typical_output_tokens: float = 200.0,
        patience: float = 3.0,
        forgetting: float = 0.995,
    ) -> None:
        self.output_tokens = PooledLogModel(dimension, typical=typical_output_tokens)
        self.patience = patience
        self.forgetting = forgetting
        self._input_price = np.zeros(0)
        self._output_price = np.zeros(0)
        self._share = np.zeros(0)
        self._billed = np.zeros(0)
        self._whole = np.zeros(0)
        """What a plan's bills, and the same requests at the full sum, add up to in USD, forgetting; NaN for a model."""

    def add_arm(self, arm: Arm) -> None:
        """Make room for an arm.

        Raises:
            BadInput: if a model of it has no price.
        """
        input_price, output_price = usd_per_token(arm)
        self._input_price = np.append(self._input_price, input_price)
        self._output_price = np.append(self._output_price, output_price)
        self.output_tokens.add_arm()
        self._share = np.append(self._share, _share_at_first(arm))
        start = np.nan if arm.plan == "single" else 0.0
        self._billed, self._whole = np.append(self._billed, start), np.append(self._whole, start)

    def reprice(self, slot: int, arm: Arm) -> None:
        """Take over new prices of an arm."""
        self._input_price[slot], self._output_price[slot] = usd_per_token(arm)

    def predict(self, vector: Vector, input_tokens: int, slots: Slots) -> Vector:
        """Expected billed cost in USD per arm; shape (arms,)."""
        tokens = self.output_tokens.predict(vector, slots)
        if slots.size == self._input_price.size:
            return (self._input_price * input_tokens + self._output_price * tokens) * self._share
        return (self._input_price[slots] * input_tokens + self._output_price[slots] * tokens) * self._share[slots]

    def predict_many(self, vectors: NDArray[np.float64], input_tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        """Expected billed cost in USD of every arm for contexts [n, d] of so many tokens [n]; shape (n, arms)."""
        tokens = self.output_tokens.predict_many(vectors)
        cost: NDArray[np.float64] = np.multiply.outer(input_tokens, self._input_price) + tokens * self._output_price
        return cost

    def learn(
        self, vector: Vector, slot: int, input_tokens: int, *, cost_usd: float | None, output_tokens: float | None
    ) -> None:
        """Take in what was billed. Where the arm's output has a price, the bill says how many tokens it was."""
        if not np.isnan(self._whole[slot]):
            if cost_usd is not None:
                self._learn_share(vector, slot, input_tokens, cost_usd)
            return
        price = self._output_price[slot]
        if cost_usd is not None and price > 0:
            output_tokens = max(0.0, (cost_usd - self._input_price[slot] * input_tokens) / price)
        if output_tokens is not None:
            self.output_tokens.learn(vector, slot, float(output_tokens))

    def _learn_share(self, vector: Vector, slot: int, input_tokens: int, cost_usd: float) -> None:
        tokens = self.output_tokens.predict(vector, np.array([slot], dtype=np.intp))
        whole = self._input_price[slot] * input_tokens + self._output_price[slot] * float(tokens[0])
        if self._whole[slot] == 0.0:
            self._whole[slot] = self.patience * whole
            self._billed[slot] = self._whole[slot] * self._share[slot]
        self._billed[slot] = self._billed[slot] * self.forgetting + cost_usd
        self._whole[slot] = self._whole[slot] * self.forgetting + whole
        if self._whole[slot] > 0:
            self._share[slot] = self._billed[slot] / self._whole[slot]

    def state(self) -> State:
        return {
            "share": self._share.copy(),
            "billed": self._billed.copy(),
            "whole": self._whole.copy(),
            "output_tokens": self.output_tokens.state(),
            "input_price": self._input_price.copy(),
            "output_price": self._output_price.copy(),
        }

    def restore(self, state: State) -> None:
        self.output_tokens.restore(state["output_tokens"])
        for name in ("input_price", "output_price", "share", "billed", "whole"):
            setattr(self, f"_{name}", state[name].copy())


def _share_at_first(arm: Arm) -> float:
    """What an arm is expected to spend of the sum of its models' prices before anything was billed."""
    input_price, output_price = usd_per_token(arm)
    if arm.plan != "cascade" or input_price + output_price == 0.0:
        return 1.0
    first = usd_per_token(Arm.of(arm.models[0]))
    return sum(first) / (input_price + output_price)


def usd_per_token(arm: Arm) -> tuple[float, float]:
    """Input and output price of an arm, summed over its models.

    Raises:
        BadInput: if a model has no price.
    """
    prices = [(model.input_usd_per_mtok, model.output_usd_per_mtok) for model in arm.models]
    for model, (input_price, output_price) in zip(arm.models, prices, strict=True):
        if input_price is None or output_price is None:
            raise BadInput(f"model {model.name!r} has no price: give input_usd_per_mtok and output_usd_per_mtok")
    return sum(p or 0.0 for p, _ in prices) / 1e6, sum(p or 0.0 for _, p in prices) / 1e6
