"""Personal data that has a form. What looks right is checked by its check digits or numbering plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import phonenumbers
from stdnum import iban, luhn
from stdnum.us import ssn

_EMAIL: Final = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}\b")
_CARD: Final = re.compile(r"(?<![\d.])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\d.]\d)")
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_SSN: Final = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
_PHONE: Final = re.compile(r"(?:\+|\()?\d[\d \t().\-/]{6,}\d")
_INTERNATIONAL: Final = re.compile(r"\+[\d(][\d \t().\-/]{6,}\d")
_DIGITS: Final = re.compile(r"\d[\d \t().\-/]{6}|[A-Z]{2}\d{2}")
"""Everything that follows holds one of these: most texts are done with here."""


def personal_data(text: str, regions: tuple[str, ...] = ()) -> Iterator[str]:
    """The kinds of personal data in a text, each once or more.

    Args:
        text: to look at.
        regions: countries (``US``, ``GB``, ...) whose telephone numbers count without a country code too.
    """
    if "@" in text and _EMAIL.search(text):
        yield "email"
    if not _DIGITS.search(text):
        return
    if _any(_CARD, text, _is_card):
        yield "payment_card"
    if _any(_IBAN, text, _is_account):
        yield "bank_account"
    if _any(_SSN, text, ssn.is_valid):
        yield "social_security_number"
    if _has_phone(text, regions):
        yield "phone"


def _any(pattern: re.Pattern[str], text: str, good: Callable[[str], bool]) -> bool:
    return any(good(match.group()) for match in pattern.finditer(text))


def _is_card(number: str) -> bool:
    digits = re.sub(r"[ -]", "", number)
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and bool(luhn.is_valid(digits))


def _is_account(number: str) -> bool:
    """Words may follow the number: the longest beginning that checks counts."""
    compact = number.replace(" ", "")
    return any(iban.is_valid(compact[:length]) for length in range(len(compact), 14, -1))


def _has_phone(text: str, regions: tuple[str, ...]) -> bool:
    for region in (None, *regions):
        pattern = _INTERNATIONAL if region is None else _PHONE
        for match in pattern.finditer(text):
            number = match.group()
            for _ in phonenumbers.PhoneNumberMatcher(number, region):
                return True
    return False
