"""The sketch of a text: the mean of its tokens' static embeddings, 256 numbers of unit length.

The embeddings and the tokenizer are those that ship inside the ``wordllama`` wheel (`l2_supercat`, MIT licence). They
are read from its folder directly: wordllama's own loader looks for the tokenizer in a folder that does not exist and
then asks a hub for it, and importing it sets up the root logger. Nothing here can reach the network.

No token of this vocabulary has a space anywhere but in front, holds a letter of ASCII beside another ASCII character, a
digit beside anything, or a line end. So a text may be cut at these places and the token ids of each word, and of each
part of it, be remembered: known words cost a dictionary look-up, new ones a call to the tokenizer for the parts of them
that are new. The memory is bounded, and what it holds never changes a result. (The exceptions are the markers ``<s>``,
``</s>`` and ``<unk>``, which are read here as the plain text they are.)
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from armwise.contracts import Vector
from armwise.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Sketch: TypeAlias = NDArray[np.float32]
"""Shape (256,), of unit length, or all zero for a text with nothing in it."""

SKETCH_DIMENSION: Final = 256
READ_CHARACTERS: Final = 1200
"""What is read of a long text: its first half of this many characters, and its last."""

_WEIGHTS: Final = "weights/l2_supercat_256.safetensors"
_TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"
_WORD: Final = re.compile("▁*[^▁]+|▁+")
_PART: Final = re.compile("▁*[A-Za-z]+|[0-9\\n]|▁*[^A-Za-z0-9\\n▁]+|▁+")
_WORDS_KEPT: Final = 1 << 15
_LONGEST_WORD_KEPT: Final = 48


def excerpt(pieces: Iterable[str], limit: int = READ_CHARACTERS) -> str:
    """The pieces joined by line ends; where that is longer than ``limit``, its head and its tail, half of it each.

    Few-shot prompts put the question last and instructions come first, so both ends are kept. No more than ``limit``
    characters are copied, however long the pieces are. Lone surrogates become question marks.
    """
    texts = list(pieces)
    if sum(map(len, texts)) + len(texts) - 1 <= limit:
        text = "\n".join(texts)
    else:
        half = limit // 2
        text = f"{_end(texts, half, tail=False)}\n{_end(texts, half, tail=True)}"
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def _end(texts: list[str], room: int, *, tail: bool) -> str:
    taken: list[str] = []
    for text in reversed(texts) if tail else texts:
        taken += text[-room:] if tail else text[:room], "\n"
        room -= len(text) + 1
        if room < 0:
            del taken[-1]
        if room <= 0:
            break
    return "".join(reversed(taken) if tail else taken)


class Sketcher:
    """Turns text into sketches. Holds the embedding table (33 MB); share one: :meth:`load` does.

    Safe to use from several threads.
    """

    def __init__(self, table: NDArray[np.float32], tokenizer: Tokenizer, identity: str) -> None:
        self._table = table
        self._tokenizer = tokenizer
        self._words: dict[str, list[int]] = {}
        self.identity = identity
        """Short hash of the weights and the tokenizer."""

    @staticmethod
    def load() -> Sketcher:
        """The process's one sketcher; read from the disk at the first call (0.2 s).

        Raises:
            ConfigError: if the wordllama package, or a file of it, is missing.
        """
        return _load()

    def sketch(self, text: str) -> Sketch:
        """The sketch of a text, of which :func:`excerpt` is read.

        Raises:
            BadInput: if ``text`` is not a string.
        """
        if not isinstance(text, str):
            raise BadInput(f"a sketch is made of a string, got {type(text).__name__}")
        return self.sketch_excerpt(excerpt((text,)))

    def sketch_excerpt(self, text: str) -> Sketch:
        """The sketch of all of ``text``, which must hold no lone surrogates."""
        ids = self.token_ids(text)
        if not ids:
            return np.zeros(SKETCH_DIMENSION, dtype=np.float32)
        # Row by row in float32, in the order of the text: the same bits on every machine.
        total = np.add.reduce(self._table.take(ids, axis=0), axis=0).astype(np.float64)
        length = math.sqrt(float(total @ total))
        sketch: Sketch = (total / length if length > 0.0 else total).astype(np.float32)
        return sketch

    def token_ids(self, text: str) -> list[int]:
        """Rows of the table that the text is made of. What the tokenizer itself gives, had quicker."""
        ids: list[int] = []
        words = self._words
        if not text:
            return ids
        for word in _WORD.findall("▁" + text.replace(" ", "▁")):
            known = words.get(word)
            ids += self._new_word(word) if known is None else known
        return ids

    def _new_word(self, word: str) -> list[int]:
        ids: list[int] = []
        for part in _PART.findall(word) if word.lstrip("▁").isascii() else (word,):
            known = self._words.get(part)
            if known is None:
                known = self._tokenizer.encode(part, add_special_tokens=False).ids
                self._remember(part, known)
            ids += known
        self._remember(word, ids)
        return ids

    def _remember(self, word: str, ids: list[int]) -> None:
        if len(word) <= _LONGEST_WORD_KEPT:
            if len(self._words) >= _WORDS_KEPT:
                self._words.clear()
            self._words[word] = ids

    def token_table(self) -> NDArray[np.float32]:
        """The embedding of every token, shape (tokens, 256); not to be written to."""
        return self._table


def sketch_256(text: str) -> Sketch:
    """The sketch of a text by the process's one :class:`Sketcher`."""
    return Sketcher.load().sketch(text)


def quantise(sketch: Sketch) -> NDArray[np.int8]:
    """A sketch in one byte per dimension, for tables that ship sketches: its largest part becomes 127."""
    peak = float(np.abs(sketch).max(initial=0.0))
    return np.round(sketch * (127.0 / peak)).astype(np.int8) if peak > 0.0 else np.zeros(len(sketch), dtype=np.int8)


def dequantise(quantised: NDArray[np.int8]) -> Sketch:
    """The sketch of unit length that :func:`quantise` was given, to within half a step."""
    values: Vector = quantised.astype(np.float64)
    length = np.sqrt((values * values).sum())
    return (values / length if length > 0.0 else values).astype(np.float32)


@lru_cache(maxsize=1)
def _load() -> Sketcher:
    from safetensors import safe_open
    from tokenizers import Tokenizer, normalizers

    spec = find_spec("wordllama")  # finds the folder; does not import it
    if spec is None or spec.origin is None:
        raise ConfigError("the text encoder needs the package wordllama: pip install wordllama")
    folder = Path(spec.origin).parent
    weights, tokens = folder / _WEIGHTS, folder / _TOKENIZER
    for file in (weights, tokens):
        if not file.is_file():
            raise ConfigError(f"the text encoder needs {file}, which this wordllama does not have; 0.4.0 does")
    tokenizer = Tokenizer.from_file(str(tokens))
    tokenizer.normalizer = normalizers.Sequence([])  # its job, writing spaces as ▁, is done in token_ids
    with safe_open(str(weights), framework="np") as tensors:
        table = tensors.get_tensor("embedding.weight").astype(np.float32)
    table.flags.writeable = False
    digest = hashlib.sha256(weights.read_bytes() + tokens.read_bytes()).hexdigest()
    return Sketcher(table, tokenizer, digest[:16])
