import numpy as np
from numpy.typing import NDArray

from armwise.contracts import Vector

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]

def scores(
    mean: Numbers, covariance: Numbers, loading: Numbers, squared: Numbers, context: Vector, out: Numbers
) -> None: ...
def gains(
    mean: Numbers, covariance: Numbers, of: Places, strengths: Vector, context: Vector, out: Numbers
) -> tuple[float, float]: ...
def absorb(mean: Numbers, covariance: Numbers, of: Places, gains: Numbers, shrink: float, step: float) -> None: ...
