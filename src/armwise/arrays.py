"""Arrays that grow by a slot, and the few numeric helpers that several rooms share."""

import math

import numpy as np
from scipy.linalg.blas import dger
from scipy.special import expit

from armwise.contracts import Vector


def grown(array: np.ndarray, count: int) -> np.ndarray:
    """A copy of ``array`` whose first axis has ``count`` entries; the new ones are zero."""
    out = np.zeros((count, *array.shape[1:]), dtype=array.dtype)
    out[: len(array)] = array
    return out


def subtract_outer(matrix: np.ndarray, vector: Vector, scale: float) -> None:
    """matrix -= scale * outer(vector, vector), in place; a C-contiguous float64 matrix, by BLAS.

    Numpy would make the outer product first, which costs ten times as much.
    """
    dger(-scale, vector, vector, a=matrix.T, overwrite_a=1)


def sigmoid(score: Vector) -> Vector:
    """1 / (1 + exp(-score)), safe for scores of any size."""
    quality: Vector = expit(score)
    return quality


def uniform(seed: int) -> float:
    """A number in [0, 1) made from a 64-bit seed by the finaliser of SplitMix64 (Steele, Lea & Flood 2014).

    One decision needs one uniform number; a whole generator would cost ten times the decision.
    """
    z = (seed + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return ((z ^ (z >> 31)) >> 11) * (1.0 / (1 << 53))


def logit(probability: float) -> float:
    """log(p / (1 - p))."""
    return math.log(probability / (1.0 - probability))
