"""What is published of a model before the first request: a shipped prior by name, else by size, else by price.

The unit is the log-odds of MMLU accuracy (5-shot; Hendrycks et al. 2021), as the models' makers report it in model
cards and technical reports, over 70%. MMLU because it is the one figure that nearly every maker has published, and
log-odds because on sixteen open models their accuracy on another exam lay on a line of slope 1.02 in them, within 0.12.
It is a prior: the engine learns how much it is worth on the traffic at hand, and each arm's own deviation from it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from armwise.arrays import logit
from armwise.contracts import Model

PUBLISHED_MMLU_PERCENT: Final[Mapping[str, float]] = {
    # OpenAI
    "gpt-3.5": 70.0, "gpt-4": 86.4, "gpt-4-turbo": 86.5, "gpt-4o": 88.7, "gpt-4o-mini": 82.0, "gpt-4.1": 90.2,
    "gpt-4.1-mini": 87.5, "gpt-4.1-nano": 80.1, "gpt-4.5": 90.8, "o1": 91.8, "o1-mini": 85.2, "o3-mini": 86.9,
    # Anthropic
    "claude-instant": 73.4, "claude-1": 77.0, "claude-v1": 77.0, "claude-2": 78.5, "claude-v2": 78.5,
    "claude-3-haiku": 75.2, "claude-3-sonnet": 79.0, "claude-3-opus": 86.8, "claude-3-5-sonnet": 88.7,
    # Google
    "gemini-1.0-pro": 71.8, "gemini-1.5-pro": 85.9, "gemini-1.5-flash": 78.9, "gemma-2b": 42.3, "gemma-7b": 64.3,
    "gemma-2-9b": 71.3, "gemma-2-27b": 75.2,
    # Meta
    "llama-2-7b": 45.3, "llama-2-13b": 54.8, "llama-2-70b": 68.9, "llama-3-8b": 66.6, "llama-3-70b": 79.5,
    "llama-3.1-8b": 66.7, "llama-3.1-70b": 79.3, "llama-3.1-405b": 85.2, "llama-3.2-1b": 49.3, "llama-3.2-3b": 63.4,
    "llama-3.3-70b": 86.0,
    # Mistral
    "mistral-7b": 60.1, "mixtral-8x7b": 70.6, "mixtral-8x22b": 77.8, "mistral-medium": 75.3, "mistral-large": 81.2,
    "mathstral": 63.5,
    # Alibaba, DeepSeek, 01.AI
    "qwen1.5-7b": 61.0, "qwen1.5-14b": 67.6, "qwen1.5-32b": 73.4, "qwen1.5-72b": 77.5, "qwen1.5-110b": 80.4,
    "qwen2-7b": 70.3, "qwen2-72b": 84.2, "qwen2.5-7b": 74.2, "qwen2.5-14b": 79.7, "qwen2.5-32b": 83.3,
    "qwen2.5-72b": 86.1, "deepseek-v2": 78.5, "deepseek-v3": 87.1, "deepseek-r1": 90.8, "yi-6b": 63.2, "yi-34b": 76.3,
    # Microsoft, Cohere, AI21, Databricks
    "phi-2": 56.7, "phi-3-mini": 68.8, "phi-3-small": 75.7, "phi-3-medium": 78.0, "phi-4": 84.8, "command-r": 68.2,
    "command-r-plus": 75.7, "jamba-1.5-mini": 69.7, "jamba-1.5-large": 81.2, "dbrx": 73.7,
}  # fmt: skip
"""Part of a model's name -> percent; the longest part found counts."""

_CENTRE: Final = logit(0.70)
_SIZE: Final = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z])")
_ALIKE: Final = re.compile(r"[-_ /]+")


def ability(model: Model) -> float:
    """Published ability of a model in log-odds over a model of 70% MMLU; within -2 and 2.

    From its own ``profile["mmlu"]``, else the published figure of the model that its name names, else the size that the
    name tells (0.4 a natural logarithm of parameters, from 56% at 7 billion), else the price (0.25 a natural logarithm
    of USD per million tokens in and out, from 62% at 1 USD), else 0.
    """
    percent = published(model)
    if percent is not None:
        return _over_centre(percent)
    size = _SIZE.search(_plain(model))
    if size:
        billions = float(size[2]) * math.sqrt(float(size[1] or 1))  # of a mixture, not every expert counts
        return _bounded(0.25 + 0.4 * math.log(max(billions, 0.1) / 7.0) - _CENTRE)
    if model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        usd = max(model.input_usd_per_mtok + model.output_usd_per_mtok, 0.01)
        return _bounded(0.5 + 0.25 * math.log(usd) - _CENTRE)
    return 0.0


def published(model: Model) -> float | None:
    """Published MMLU accuracy in percent; None where nothing is known to be published."""
    if "mmlu" in model.profile:
        return 100.0 * model.profile["mmlu"]
    name = _plain(model)
    known = [part for part in PUBLISHED_MMLU_PERCENT if _names(part, name)]
    return PUBLISHED_MMLU_PERCENT[max(known, key=len)] if known else None


def _plain(model: Model) -> str:
    return "-".join(filter(None, _ALIKE.split((model.upstream or model.name).lower())))


def _names(part: str, name: str) -> bool:
    """Whether a whole word of the name, or several, is the part: ``gpt-4`` is no part of ``gpt-4o``."""
    return re.search(rf"(?<![a-z0-9]){re.escape(part)}(?![a-z0-9.])", name) is not None


def _over_centre(percent: float) -> float:
    return _bounded(logit(min(max(percent / 100.0, 0.02), 0.98)) - _CENTRE)


def _bounded(value: float) -> float:
    return min(max(value, -2.0), 2.0)
