"""The surface of a request: what can be seen of it without knowing what it means.

Every mark is a number from 0 to 1, computed from an excerpt of bounded length. They are hints: cheap, deterministic,
right more often than not. The policy learns what each is worth. Most say what kind of request it is; the last four
count what makes one of its kind hard: quantities to keep in mind, steps, wording, notation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from armwise.contracts import Request, Vector
from armwise.errors import BadInput
from armwise.features.transcript import Transcript

LENGTH_CENTRE: Final = 6.0
LENGTH_SCALE: Final = 0.9
"""Of log(1 + characters): near mean and deviation of the prompts of four benchmarks."""
LENGTH_CLIP: Final = 3.0
MARK_SCALE: Final = 0.25
"""Marks are rare and blunt: scaled down, a linear policy's prior holds them near zero until they have proved useful."""
COUNT_SCALE: Final = 2.0
"""Counts vary in every request: brought to about the deviation of a dimension of the sketch."""

_CODE_SIGNS: Final = (
    "```", "#include", "();", "() {", "){", "=> ", "};", "==", "!=", "&&", "</", "{\n", ";\n", "print(", "self.",
    "def ", "SELECT ",
)  # fmt: skip
_CODE_WORDS: Final = frozenset(
    ("return", "function", "functions", "import", "class", "const", "assert", "code", "python", "javascript",
     "typescript", "java", "rust", "sql", "regex", "compile", "docker", "git", "traceback", "void", "null")
)  # fmt: skip
_MATHS_SIGNS: Final = ("\\frac", "\\sum", "\\int", "\\sqrt", "$$", "^2", "^{", " = ", "%")
_WIDE_MATHS_SIGNS: Final = ("²", "√", "∫", "∑", "≤", "≥", "·", "×", "π")
_MATHS_WORDS: Final = frozenset(
    ("many", "calculate", "compute", "equation", "solve", "integral", "derivative", "probability", "percent", "prove",
     "average", "total", "sum", "matrix", "polynomial", "theorem")
)  # fmt: skip
_STRUCTURED_WORDS: Final = frozenset(
    ("json", "yaml", "xml", "csv", "markdown", "table", "bullet", "bullets", "list", "columns")
)
_LONG_WORDS: Final = frozenset(
    ("detail", "detailed", "essay", "comprehensive", "explain", "article", "story", "guide", "report", "thorough",
     "step-by-step", "chapter")
)  # fmt: skip
_BRIEF_WORDS: Final = frozenset(("briefly", "brief", "concise", "concisely", "tldr", "tl;dr"))
_BRIEF_HINTS: Final = frozenset(("word", "no", "false", "sentence", "short", "only", "just", "letter"))
_BRIEF_PHRASES: Final = (
    "one word", "yes or no", "true or false", "one sentence", "in short", "short answer", "answer only", "only the",
    "just the", "single letter",
)  # fmt: skip
_NUMBER_WORDS: Final = frozenset(
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty",
     "thirty", "forty", "fifty", "hundred", "thousand", "million", "half", "twice", "double", "triple", "third",
     "quarter", "dozen", "first", "second")
)  # fmt: skip
_NUMBER: Final = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?")
_SENTENCE_END: Final = re.compile(r"[.!?](?:\s|$)|[。！？]")
_SYMBOLS: Final = b"=+-*/^<>\\_{}"
_ARITHMETIC: Final = re.compile(r"[0-9)x] ?[-+*/=^×÷] ?[0-9(x]")
_PUNCTUATION: Final = str.maketrans(dict.fromkeys('.,:!?()"*', " "))
_CHOICE: Final = re.compile(r"^\(?[A-J1-9][.):] ?\S", re.MULTILINE)

_ENGLISH: Final = frozenset(
    ("the", "of", "and", "to", "is", "in", "that", "it", "for", "with", "you", "are", "what", "how", "this", "my", "be",
     "please")
)  # fmt: skip
_FOREIGN: Final = frozenset(
    ("der", "und", "das", "ist", "nicht", "ein", "eine", "mit", "für", "auf", "wie", "ich", "les", "des", "est", "une",
     "pour", "dans", "que", "qui", "je", "vous", "et", "sur", "el", "los", "las", "una", "por", "con", "para", "como",
     "qué", "cómo", "il", "che", "di", "per", "della", "sono", "non", "un", "os", "não", "uma", "em", "het", "een",
     "van", "niet", "och", "att", "som", "jak", "nie", "się", "jest", "bir", "ve", "yang", "dan", "untuk", "adalah",
     "của", "là")
)  # fmt: skip


class Surface(NamedTuple):
    """What :meth:`of` sees, each from 0 to 1 but for the three counts. Callers who kept less may leave any out."""

    characters: int = 0
    turns: int = 1
    """Messages of the user."""
    tools: int = 0
    """Tools offered."""
    foreign: float = 0.0
    """Latin script, other language than English."""
    cjk: float = 0.0
    """Share of Chinese, Japanese and Korean characters."""
    other_script: float = 0.0
    """Share of letters of other scripts: Cyrillic, Arabic, Indic, Thai, ..."""
    code: float = 0.0
    maths: float = 0.0
    digits: float = 0.0
    question: float = 0.0
    """A question mark near the end."""
    choices: float = 0.0
    """Options to choose from."""
    lines: float = 0.0
    structured: float = 0.0
    """JSON, a table, a list or the like is asked for."""
    schema: float = 0.0
    """The answer is bound to a schema by ``response_format``."""
    brief: float = 0.0
    long: float = 0.0
    tool_history: float = 0.0
    """Tools have been called in the messages."""
    media: float = 0.0
    """Images, audio, video or files."""
    numbers: float = 0.0
    """Numbers, in digits and in words."""
    sentences: float = 0.0
    variety: float = 0.0
    """Share of the words that are different ones."""
    symbols: float = 0.0
    """Signs of formulas and code."""

    @classmethod
    def of(cls, request: Request, transcript: Transcript) -> Surface:
        """Look at a request."""
        text = transcript.excerpt
        lower = text.lower()
        running = lower.translate(_PUNCTUATION).split()
        words = set(running)
        foreign, cjk, other_script = _scripts(text, words)
        kind = _format_kind(request.response_format)
        size = max(len(text), 1)
        return cls(
            characters=transcript.characters,
            turns=transcript.turns,
            tools=transcript.tool_count,
            foreign=foreign,
            cjk=cjk,
            other_script=other_script,
            code=min(0.5 * _count(text, _CODE_SIGNS) + 0.2 * len(words & _CODE_WORDS), 1.0),
            maths=_maths(text, words),
            digits=min(4.0 * _count_bytes(text, b"0123456789") / size, 1.0),
            question=float("?" in text[-200:] or "？" in text[-200:]),
            choices=float(len(_CHOICE.findall(text)) >= 3),
            lines=min(math.log1p(text.count("\n")) / 4.0, 1.0),
            structured=float(kind in ("json_object", "json_schema") or not words.isdisjoint(_STRUCTURED_WORDS)),
            schema=float(kind == "json_schema"),
            brief=_brief(lower, words),
            long=float(not words.isdisjoint(_LONG_WORDS)),
            tool_history=float(transcript.uses_tools and not transcript.tool_count),
            media=float(bool(transcript.media)),
            numbers=_many(len(_NUMBER.findall(text)) + sum(word in _NUMBER_WORDS for word in running)),
            sentences=_many(len(_SENTENCE_END.findall(text))),
            variety=len(words) / max(len(running), 1),
            symbols=_many(_count_bytes(text, _SYMBOLS)),
        )

    def vector(self) -> Vector:
        """Shape (len(SURFACE_NAMES),): intercept, length, its square, the marks and the counts, scaled."""
        length = (math.log1p(self.characters) - LENGTH_CENTRE) / LENGTH_SCALE
        length = min(max(length, -LENGTH_CLIP), LENGTH_CLIP)
        counts = [min(math.log2(max(n, 1)) / 4.0, 1.0) for n in (self.turns, 2 * self.tools)]
        values = np.array([1.0, length, min(length * length, LENGTH_CLIP), *counts, *self[3:]])
        values[3:_FIRST_COUNT] *= MARK_SCALE
        values[_FIRST_COUNT:] *= COUNT_SCALE
        return values


LEXICON: Final = tuple(
    sorted(group)
    for group in (
        _CODE_SIGNS, _CODE_WORDS, _MATHS_SIGNS, _WIDE_MATHS_SIGNS, _MATHS_WORDS, _STRUCTURED_WORDS, _LONG_WORDS,
        _BRIEF_WORDS, _BRIEF_HINTS, _BRIEF_PHRASES, _ENGLISH, _FOREIGN, _NUMBER_WORDS,
    )
)  # fmt: skip
"""Every sign and word that is looked for; part of the encoder's version."""

SURFACE_NAMES: Final = ("intercept", "log_length", "log_length_squared", *Surface._fields[1:])
_FIRST_COUNT: Final = SURFACE_NAMES.index("numbers")


def _format_kind(response_format: object) -> object:
    if response_format is None:
        return None
    if not isinstance(response_format, Mapping):
        raise BadInput(f"Request.response_format must be an object or null, got {type(response_format).__name__}")
    return response_format.get("type")


def _count(text: str, signs: tuple[str, ...]) -> int:
    return sum(map(text.__contains__, signs))


def _maths(text: str, words: set[str]) -> float:
    signs = _count(text, _MATHS_SIGNS) + bool(_ARITHMETIC.search(text))
    if not text.isascii():
        signs += _count(text, _WIDE_MATHS_SIGNS)
    return min(0.5 * signs + 0.2 * len(words & _MATHS_WORDS), 1.0)


def _brief(lower: str, words: set[str]) -> float:
    if not words.isdisjoint(_BRIEF_WORDS):
        return 1.0
    return float(not words.isdisjoint(_BRIEF_HINTS) and _count(lower, _BRIEF_PHRASES) > 0)


def _many(count: int) -> float:
    """A count on a scale from 0 to 1 on which doubling is a step; 1 from 54 on."""
    return min(math.log1p(count) / 4.0, 1.0)


def _count_bytes(text: str, which: bytes) -> int:
    raw = text.encode()
    return len(raw) - len(raw.translate(None, which))


def _scripts(text: str, words: set[str]) -> tuple[float, float, float]:
    foreign, english = len(words & _FOREIGN), len(words & _ENGLISH)
    hint = float(foreign >= 2 and foreign > english)
    if text.isascii():
        return hint, 0.0, 0.0
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    cjk = ((points >= 0x3040) & (points < 0xA000)) | ((points >= 0xAC00) & (points < 0xD7B0)) | (points >> 16 == 2)
    other = (points >= 0x400) & (points < 0x1E00)
    return hint, float(cjk.mean()), float(other.mean())
