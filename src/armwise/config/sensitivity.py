"""Sensitivity: whether requests are searched for personal data and secrets, and what a finding means."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from armwise.config.base import Settings
from armwise.errors import BadInput
from armwise.sensitivity import Detector

Level = Literal["public", "internal", "confidential", "restricted"]


class SensitivitySettings(Settings):
    """What a finding raises a request to. Without this section nothing is searched, and labels alone count."""

    personal: Level = "confidential"
    secrets: Level = "restricted"
    phone_regions: tuple[str, ...] = ()
    """Countries (``US``, ``GB``, ...) whose telephone numbers count without a country code too."""

    @model_validator(mode="after")
    def _sound(self) -> SensitivitySettings:
        try:
            self.record()
        except BadInput as error:
            raise ValueError(str(error)) from error
        return self

    def record(self) -> Detector:
        """The detector as the router takes it."""
        return Detector(personal=self.personal, secrets=self.secrets, phone_regions=self.phone_regions)
