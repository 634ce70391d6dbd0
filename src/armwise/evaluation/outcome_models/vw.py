"""Vowpal Wabbit as an outcome model."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from armwise.errors import BadInput, ConfigError
from armwise.evaluation.feedback import Floats, Ints

_vw: Any
try:
    import vowpal_wabbit_next as _vw
except ImportError:  # no wheel for this Python
    _vw = None


@dataclass(frozen=True, kw_only=True)
class VWOutcome:
    """Online least squares on features, arm, and their product (``-q xa``), some passes over the rows.

    Slower than ridge (tens of microseconds a row and arm) and less exact on few rows; worth it for wide, sparse
    features. VW takes NaN without complaint, so everything is checked before it is sent.

    Attributes:
        passes: times over the data.
        arguments: further VW options, such as ("--l2", "1e-6").
    """

    passes: int = 3
    arguments: tuple[str, ...] = ()

    def fit(self, features: Floats, arm: Ints, outcome: Floats, weight: Floats | None, arms: int) -> "FittedVW":
        """Learn row by row in the order given.

        Raises:
            ConfigError: vowpal-wabbit-next is not installed.
        """
        if _vw is None:
            raise ConfigError("the outcome model 'vw' needs vowpal-wabbit-next (Python 3.11 or 3.12); use 'ridge'")
        w = np.ones(len(arm)) if weight is None else weight
        if not (np.isfinite(features).all() and np.isfinite(outcome).all() and np.isfinite(w).all()):
            raise BadInput("features, outcome or weight hold NaN or infinite values")
        workspace = _vw.Workspace(["--quiet", "-q", "xa", *self.arguments])
        parser = _vw.TextFormatParser(workspace)
        text = _feature_text(features)
        for _ in range(self.passes):
            for i in range(len(arm)):
                if w[i] > 0:
                    workspace.learn_one(parser.parse_line(f"{outcome[i]:.9g} {w[i]:.9g} |a a{arm[i]} |x {text[i]}"))
        return FittedVW(workspace=workspace, parser=parser, arms=arms)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedVW:
    """A trained workspace, kept in this process."""

    workspace: Any
    parser: Any
    arms: int

    def predict(self, features: Floats) -> Floats:
        """[n, K]."""
        out = np.empty((len(features), self.arms))
        for i, text in enumerate(_feature_text(features)):
            for a in range(self.arms):
                out[i, a] = self.workspace.predict_one(self.parser.parse_line(f"|a a{a} |x {text}"))
        return out


def _feature_text(features: Floats) -> list[str]:
    return [" ".join(f"{j}:{value:.6g}" for j, value in enumerate(row) if value) for row in features]
