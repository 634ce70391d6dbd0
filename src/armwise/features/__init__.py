"""Requests to contexts: what a policy gets to see of a request.

:class:`TextEncoder` reads the text; :class:`VectorEncoder` takes ready vectors. Both are pure: the same request always
gives the same vector. Importing this reads no weights; making a :class:`TextEncoder` does.
"""

from armwise.features.caller import Categorical, Feature, Numeric
from armwise.features.projection import Projection
from armwise.features.sketch import Sketch, Sketcher, dequantise, quantise, sketch_256
from armwise.features.surface import Surface
from armwise.features.tasks import UNKNOWN_TASK, TaskClassifier
from armwise.features.text import TextEncoder
from armwise.features.transcript import Transcript
from armwise.features.vector import VectorEncoder

__all__ = [
    "UNKNOWN_TASK",
    "Categorical",
    "Feature",
    "Numeric",
    "Projection",
    "Sketch",
    "Sketcher",
    "Surface",
    "TaskClassifier",
    "TextEncoder",
    "Transcript",
    "VectorEncoder",
    "dequantise",
    "quantise",
    "sketch_256",
]
