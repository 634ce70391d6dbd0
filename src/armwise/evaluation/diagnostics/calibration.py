"""Are the logged propensities true? Observed draws against logged probabilities."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import chdtrc

from armwise.errors import BadInput
from armwise.evaluation.feedback import Floats, LoggedFeedback

BIN_EDGES = np.array([0.05, 0.2, 0.5])
"""Cells are arm x bin of the logged probability, so that a wrong shape shows even where arm totals agree."""

MINIMUM_EXPECTED = 5.0
_BLOCK = 1 << 15


@dataclass(frozen=True, kw_only=True)
class CalibrationTest:
    """A chi-squared test that draws follow the logged distributions.

    Attributes:
        statistic, degrees_of_freedom, p_value: of the joint test.
        observed, expected: [K] draws by arm.
        z: [K], by arm, in standard errors.
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float
    observed: Floats
    expected: Floats
    z: Floats


@dataclass(kw_only=True)
class PropensityCalibration:
    """Running sums for the test, over blocks that carry the whole logged distribution.

    Given the probabilities, residuals (drawn - probability) are martingale differences with a known covariance, so the
    quadratic form in its pseudo-inverse is chi-squared in the limit, with contexts, action sets and probabilities that
    change from row to row and that depend on the past. Cells that expect fewer than 5 draws (or 5 misses) are left out.
    """

    arms: int
    rows: int = 0
    _observed: Floats = field(init=False, repr=False)
    _expected: Floats = field(init=False, repr=False)
    _covariance: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        cells = self.arms * (len(BIN_EDGES) + 1)
        self._observed, self._expected = np.zeros(cells), np.zeros(cells)
        self._covariance = np.zeros((cells, cells))

    def add(self, feedback: LoggedFeedback) -> None:
        """Add a block.

        Raises:
            BadInput: the block has no ``logging_probabilities``.
        """
        if feedback.logging_probabilities is None:
            raise BadInput("the calibration test needs logging_probabilities [n, K], not the drawn arm's alone")
        bins = len(BIN_EDGES) + 1
        for start in range(0, feedback.n, _BLOCK):
            table = feedback.logging_probabilities[start : start + _BLOCK].astype(np.float64, copy=False)
            arm = feedback.arm[start : start + _BLOCK]
            b = len(arm)
            cell = np.searchsorted(BIN_EDGES, table, side="right") + np.arange(self.arms) * bins
            spread = np.zeros((b, self.arms * bins))
            np.put_along_axis(spread, cell, table, axis=1)
            self._observed += np.bincount(cell[np.arange(b), arm], minlength=self.arms * bins)
            self._expected += np.ones(b) @ spread
            self._covariance -= spread.T @ spread
            self.rows += b

    def test(self) -> CalibrationTest:
        """The test on all rows so far."""
        bins = len(BIN_EDGES) + 1
        covariance = self._covariance + np.diag(self._expected)
        gap = self._observed - self._expected
        variance = np.diag(covariance)
        used = (self._expected >= MINIMUM_EXPECTED) & (variance >= MINIMUM_EXPECTED / 2)
        statistic, freedom = _quadratic_form(gap[used], covariance[np.ix_(used, used)])
        by_arm = np.repeat(np.eye(self.arms), bins, axis=1)
        spread = np.sqrt(np.maximum(np.einsum("ac,cd,ad->a", by_arm, covariance, by_arm), 0.0))
        arm_gap = by_arm @ gap
        # A draw where the logged probability is nil cannot be explained by chance, whatever the other cells say.
        impossible = bool(((self._expected < 1e-12) & (self._observed > 0)).any())
        return CalibrationTest(
            statistic=statistic,
            degrees_of_freedom=freedom,
            p_value=0.0 if impossible else float(chdtrc(freedom, statistic)) if freedom else 1.0,
            observed=by_arm @ self._observed,
            expected=by_arm @ self._expected,
            z=np.divide(arm_gap, spread, out=np.zeros(self.arms), where=spread > 1e-9),
        )


def propensity_calibration(feedback: LoggedFeedback) -> CalibrationTest:
    """The test on one log."""
    sums = PropensityCalibration(arms=len(feedback.arms))
    sums.add(feedback)
    return sums.test()


def _quadratic_form(gap: Floats, covariance: Floats) -> tuple[float, int]:
    if gap.size == 0:
        return 0.0, 0
    scale = 1.0 / np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance * scale[:, None] * scale[None, :])
    kept = values > 1e-6 * values[-1]
    along = vectors[:, kept].T @ (gap * scale)
    return float((along**2 / values[kept]).sum()), int(kept.sum())
