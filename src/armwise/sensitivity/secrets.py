"""Secrets: keys and tokens by the forms that their issuers give them, private keys, and passwords that are named so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

_LEFT_OUT: Final = frozenset(
    {"CloudantDetector", "IbmCloudIamDetector", "IbmCosHmacDetector", "SoftlayerDetector", "IPPublicDetector"}
)
"""Slow, for keys that look like any other word; and addresses on the network are no secrets."""
_LONG = 16
"""Characters in one piece that a token has at least."""
_MODEL_KEY: Final = re.compile(
    r"\b(?:sk-(?:ant-|proj-|or-)?[\w-]{20,}|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,})"
)
_NAMED: Final = re.compile(
    r"(?:passw(?:or)?d|passphrase|pwd|secret|api[ _-]?key|access[ _-]?key|auth[ _-]?token)['\"]?\s*(?:[:=]+|\bis\b)"
    r"\s*['\"`]?(?P<value>[^\s'\"`,;]{6,})",
    re.IGNORECASE,
)
_WORDS: Final = ("pass", "pwd", "secret", "key", "token")
"""One of them is in everything that :data:`_NAMED` finds."""
_PLACEHOLDER: Final = re.compile(
    r"[<{$%*x.]|your|example|placeholder|changeme|none|null|true|false|required", re.IGNORECASE
)


def secrets_in(text: str) -> Iterator[str]:
    """The kinds of secrets in a text, each once or more."""
    lower = text.lower()
    if any(word in lower for word in _WORDS) and any(_is_value(match["value"]) for match in _NAMED.finditer(text)):
        yield "password"
    if not _suspicious(text):
        return
    if _MODEL_KEY.search(text):
        yield "model_api_key"
    for line in text.splitlines():
        if _suspicious(line):
            for detector in _detectors():
                if next(iter(detector.analyze_string(line)), None) is not None:
                    yield str(detector.secret_type).lower().replace(" ", "_")


@cache
def _detectors() -> tuple[Any, ...]:
    """The forms that detect-secrets knows. Loaded when first needed, for that takes a quarter of a second."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    kinds: Iterable[Any] = get_mapping_from_secret_type_to_class().values()
    return tuple(kind() for kind in kinds if issubclass(kind, RegexBasedDetector) and kind.__name__ not in _LEFT_OUT)


def _suspicious(text: str) -> bool:
    """Whether it holds what every secret with a form has: most texts are done with here."""
    return "PRIVATE KEY" in text or "://" in text or any(len(word) >= _LONG for word in text.split())


def _is_value(word: str) -> bool:
    """Whether it is a value, and not a placeholder or a word of a sentence."""
    return _PLACEHOLDER.match(word) is None and any(character.isdigit() for character in word)
