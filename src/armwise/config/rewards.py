"""Rewards: what each kind of signal is worth, and when a reward is final."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from armwise.config.base import Fraction, NonNegative, Positive, Settings
from armwise.errors import BadInput
from armwise.rewards import KINDS, RULES, RewardRules, SignalKind

Quality = Annotated[float, Field(ge=0, le=1)]


class KindSettings(Settings):
    """One kind of signal. What is not given stays as it is; a new kind needs ``at_zero`` or ``at_one``."""

    quality: Quality | None = None
    """The quality it speaks for whatever its value: short for both ends."""
    at_zero: Quality | None = None
    at_one: Quality | None = None
    reliability: Fraction | None = None
    weight: NonNegative | None = None
    question: str | None = None

    def record(self, known: SignalKind | None) -> SignalKind:
        """The kind, over what was known of it."""
        given = self.model_dump(exclude_unset=True)
        quality = given.pop("quality", None)
        if quality is not None:
            given.update(at_zero=quality, at_one=quality)
        before = (
            {}
            if known is None
            else {name: getattr(known, name) for name in ("at_zero", "at_one", "reliability", "weight", "question")}
        )
        return SignalKind(**{**before, **given})


class RewardSettings(Settings):
    """How signals become rewards."""

    kinds: dict[str, KindSettings] = Field(default_factory=dict)
    final_after_s: Positive = RULES.final_after_s
    max_client_share: Fraction = RULES.max_client_share
    scale_spread: NonNegative = RULES.scale_spread
    client_signals_per_minute: Positive | None = RULES.client_signals_per_minute

    @model_validator(mode="after")
    def _sound(self) -> RewardSettings:
        for name, kind in self.kinds.items():
            if kind.quality is not None and kind.model_fields_set & {"at_zero", "at_one"}:
                raise ValueError(f"kinds.{name}: give quality, or at_zero and at_one, not both")
        try:
            self.record()
        except BadInput as error:
            raise ValueError(str(error)) from error
        return self

    def record(self) -> RewardRules:
        """The rules as the router takes them."""
        kinds = {name: kind.record(KINDS.get(name)) for name, kind in self.kinds.items()}
        return RewardRules(
            kinds={**KINDS, **kinds},
            final_after_s=self.final_after_s,
            max_client_share=self.max_client_share,
            scale_spread=self.scale_spread,
            client_signals_per_minute=self.client_signals_per_minute,
        )
