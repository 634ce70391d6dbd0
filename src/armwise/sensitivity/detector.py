"""From findings to a level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from phonenumbers import SUPPORTED_REGIONS

from armwise.contracts import SENSITIVITIES, check_sensitivity
from armwise.errors import BadInput
from armwise.sensitivity.personal import personal_data
from armwise.sensitivity.secrets import secrets_in


class Finding(NamedTuple):
    """Something that was found. It does not hold what: that would be the secret."""

    kind: str
    """``email``, ``payment_card``, ``aws_access_key``, ..."""
    level: str
    """What it raises a request to."""


class Detector:
    """Finds what has a form, offline. Keeps nothing.

    Args:
        personal: the level to which personal data raise a request.
        secrets: the level to which secrets raise it.
        phone_regions: countries whose telephone numbers count without a country code too.

    Raises:
        BadInput: on an unknown level or country.
    """

    def __init__(
        self, *, personal: str = "confidential", secrets: str = "restricted", phone_regions: Iterable[str] = ()
    ) -> None:
        check_sensitivity("sensitivity.personal", personal)
        check_sensitivity("sensitivity.secrets", secrets)
        self._personal = personal
        self._secrets = secrets
        self._regions = tuple(phone_regions)
        for region in self._regions:
            if region not in SUPPORTED_REGIONS:  # one nobody knows would find nothing, and say nothing
                raise BadInput(f"sensitivity.phone_regions must be country codes such as 'US', got {region!r}")

    def findings(self, texts: Iterable[str]) -> Iterator[Finding]:
        """What is in the texts."""
        for text in texts:
            for kind in secrets_in(text):
                yield Finding(kind, self._secrets)
            for kind in personal_data(text, self._regions):
                yield Finding(kind, self._personal)

    def level(self, texts: Iterable[str], least: str = "public") -> str:
        """The highest level that the texts ask for, and at least ``least``."""
        highest = max(SENSITIVITIES.index(level) for level in (self._personal, self._secrets))
        level = SENSITIVITIES.index(least)
        for finding in self.findings(texts):
            level = max(level, SENSITIVITIES.index(finding.level))
            if level >= highest:
                break
        return SENSITIVITIES[level]
