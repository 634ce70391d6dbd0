"""How sensitive a request is, by what its text shows: personal data and secrets, found offline and with no model.

A detector can only raise a request's sensitivity. It knows what has a form (keys, cards, accounts, telephone numbers,
addresses of mail); names, illnesses and business secrets have none, so callers who know more label their requests.
"""

from armwise.sensitivity.detector import Detector, Finding
from armwise.sensitivity.texts import texts_of

__all__ = ["Detector", "Finding", "texts_of"]
