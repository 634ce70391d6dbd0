"""What an arm is like: the traits that it has in common with others, each with how strongly it has it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from armwise.contracts import Arm, Model
from armwise.predictors.ability import ability

COMMON = "common"
"""The trait that every arm has alike."""

ABILITY = "ability"
"""The trait whose worth is known before anything is learned: see :mod:`armwise.predictors.ability`."""

TRAITS = (ABILITY, "price", "size", "context", "modality", "family", "profile", "plan")
"""Kinds of traits, besides :data:`COMMON`."""

_SIZE = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z])")
_WORD = re.compile(r"[a-z]{2,}")


def traits(arm: Arm) -> dict[str, float]:
    """Trait -> how strongly the arm has it, about 1 at most; traits that nothing is known of are left out.

    - ``ability``: what is published of the model, in log-odds; by size or price where nothing is.
    - ``price``: decimal logarithm of the price of three input tokens to one output token, over 0.5 USD a million.
    - ``size``: the same of the parameters that the name tells (``70b``, ``8x7b``), over 20 billion.
    - ``context``: of the context window, over 32,000 tokens. All three are within -2 and 2.
    - ``modality:NAME``: 1 where the model takes more than text.
    - ``family:NAME``: 1; the family, or the first word of the name.
    - ``profile:BENCHMARK``: 2 * (score - 0.5).
    - ``plan:KIND``: 1 for an arm that is more than one call.

    An arm over several models has the mean of their traits.
    """
    found: dict[str, float] = {COMMON: 1.0}
    for model in arm.models:
        for trait, strength in _of_model(model).items():
            found[trait] = found.get(trait, 0.0) + strength / len(arm.models)
    if arm.plan != "single":
        found[f"plan:{arm.plan}"] = 1.0
    return found


def _of_model(model: Model) -> Mapping[str, float]:
    found = {ABILITY: ability(model)}
    if model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        found["price"] = _scaled(0.75 * model.input_usd_per_mtok + 0.25 * model.output_usd_per_mtok, 0.5)
    name = (model.upstream or model.name).rpartition("/")[2].lower()
    size = _SIZE.search(name)
    if size:
        found["size"] = _scaled(int(size[1] or 1) * float(size[2]), 20.0)
    if model.context_window is not None:
        found["context"] = _scaled(model.context_window, 32_000.0)
    for modality in sorted(model.modalities - {"text"}):
        found[f"modality:{modality}"] = 1.0
    word = _WORD.search(name)
    family = model.family or (word[0] if word else None)
    if family:
        found[f"family:{family}"] = 1.0
    for benchmark, score in sorted(model.profile.items()):
        found[f"profile:{benchmark}"] = 2.0 * (score - 0.5)
    return found


def _scaled(value: float, typical: float) -> float:
    return min(max(math.log10(max(value, 1e-9) / typical), -2.0), 2.0)
