"""Judges without a model: what can be checked is checked."""

from armwise.judging.checks.code import CodeCheck
from armwise.judging.checks.exact import ExactCheck
from armwise.judging.checks.function import FunctionJudge
from armwise.judging.checks.numeric import NumericCheck
from armwise.judging.checks.pattern import PatternCheck
from armwise.judging.checks.schema import SchemaCheck

__all__ = ["CodeCheck", "ExactCheck", "FunctionJudge", "NumericCheck", "PatternCheck", "SchemaCheck"]
