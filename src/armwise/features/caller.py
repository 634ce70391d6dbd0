"""Features that the caller declares: their names, ranges and places in the vector.

What is not declared is refused, because a feature that silently goes nowhere, or that shifts its neighbours, cannot be
learned from. What is declared may be left out of a request: it then counts as zero, the middle of its range.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np

from armwise.contracts import Vector, record_fields
from armwise.errors import BadInput, ConfigError, unknown

NUMERIC_CLIP: Final = 4.0
CODE_SCALE: Final = 0.5
"""Norm of what a category adds to the vector."""
LARGEST_HASH: Final = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Numeric:
    """A number, entering as (value - centre) / scale, clipped at +-4. True and False count as 1 and 0.

    Raises:
        ConfigError: on an empty name, a number that is not finite, or a scale that is not above zero.
    """

    name: str
    centre: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check_name(self.name)
        for field, value in (("centre", self.centre), ("scale", self.scale)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ConfigError(f"feature {self.name!r}: {field} must be a finite number, got {value!r}")
        if self.scale <= 0.0:
            raise ConfigError(f"feature {self.name!r}: scale must be above zero, got {self.scale!r}")

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def write(self, value: object, into: Vector) -> None:
        if isinstance(value, str) or not isinstance(value, (int, float, np.number)):
            raise BadInput(
                f"Request.features[{self.name!r}] is declared numeric, got {type(value).__name__} {value!r:.80}"
            )
        if not math.isfinite(value):
            raise BadInput(f"Request.features[{self.name!r}] must be finite, got {value!r}")
        into[0] = min(max((float(value) - self.centre) / self.scale, -NUMERIC_CLIP), NUMERIC_CLIP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Categorical:
    """One of a set of values. With ``values``, one dimension each, and no others are allowed; without, any string is
    hashed to one of ``dimension`` places with a sign (two values may share a place; the sign halves the harm).

    Raises:
        ConfigError: on an empty name, values that repeat or are not strings, or a dimension out of range.
    """

    name: str
    values: Sequence[str] = ()
    dimension: int = 8

    def __post_init__(self) -> None:
        _check_name(self.name)
        if isinstance(self.values, str) or not all(isinstance(value, str) for value in self.values):
            raise ConfigError(f"feature {self.name!r}: values must be a list of strings, got {self.values!r}")
        object.__setattr__(self, "values", tuple(self.values))
        if len(set(self.values)) != len(self.values):
            raise ConfigError(f"feature {self.name!r}: values must not repeat, got {list(self.values)}")
        check_hash_dimension(f"feature {self.name!r}: dimension", self.dimension, least=1)

    @property
    def names(self) -> tuple[str, ...]:
        if self.values:
            return tuple(f"{self.name}={value}" for value in self.values)
        return tuple(f"{self.name}#{place}" for place in range(self.dimension))

    def write(self, value: object, into: Vector) -> None:
        if not isinstance(value, str):
            raise BadInput(
                f"Request.features[{self.name!r}] is declared categorical, got {type(value).__name__} {value!r:.80}"
            )
        if not self.values:
            place, sign = signed_place(value, self.dimension)
            into[place] = sign * CODE_SCALE
        elif value in self.values:
            into[self.values.index(value)] = CODE_SCALE
        else:
            raise BadInput(f"Request.features: {unknown(f'value of {self.name!r}', value, self.values)}")


Feature: TypeAlias = Numeric | Categorical


_KINDS: Final[Mapping[str, type[Numeric] | type[Categorical]]] = {"numeric": Numeric, "categorical": Categorical}


def declare(item: Feature | Mapping[str, Any]) -> Feature:
    """A declaration as such, or as it stands in a file: ``{"name": "age", "kind": "numeric", "scale": 10}``.

    Raises:
        ConfigError: naming the key or value that is wrong.
    """
    if isinstance(item, (Numeric, Categorical)):
        return item
    if not isinstance(item, Mapping):
        raise ConfigError(f"a feature is declared as Numeric, Categorical or an object, got {type(item).__name__}")
    settings = {str(key): value for key, value in item.items()}
    owner = f"feature {settings['name']!r}" if "name" in settings else "a feature"
    kind = settings.pop("kind", "numeric")
    if (cls := _KINDS.get(str(kind))) is None:
        raise ConfigError(f"{owner}: {unknown('kind', kind, _KINDS)}")
    allowed = record_fields(cls)
    for key in settings:
        if key not in allowed:
            raise ConfigError(f"{owner}: {unknown('key', key, (*allowed, 'kind'))}")
    if "name" not in settings:
        raise ConfigError(f"a feature needs a name, got {settings!r:.80}")
    return cls(**settings)


class CallerFeatures:
    """The block of the vector that holds the caller's declared features, in the order declared.

    Raises:
        ConfigError: if a name is declared twice, or see :func:`declare`.
    """

    def __init__(self, declared: Sequence[Feature | Mapping[str, Any]] = ()) -> None:
        self.declared = tuple(map(declare, declared))
        self._by_name: dict[str, tuple[Feature, slice]] = {}
        names: list[str] = []
        for feature in self.declared:
            if feature.name in self._by_name:
                raise ConfigError(f"feature {feature.name!r} is declared twice")
            self._by_name[feature.name] = feature, slice(len(names), len(names) + len(feature.names))
            names += feature.names
        self.names = tuple(names)

    def vector(self, features: Mapping[str, object]) -> Vector:
        """Shape (len(names),).

        Raises:
            BadInput: on a feature that is not declared, or a value of the wrong kind.
        """
        block = np.zeros(len(self.names))
        for name, value in features.items():
            found = self._by_name.get(name)
            if found is None:
                declare = "" if self._by_name else "; declare it where the encoder is made"
                raise BadInput(f"Request.features: {unknown('feature', name, self._by_name)}{declare}")
            feature, place = found
            feature.write(value, block[place])
        return block


@lru_cache(maxsize=4096)
def signed_place(value: str, dimension: int) -> tuple[int, float]:
    """Where a string is hashed to, and its sign (Weinberger et al. 2009, section 2); the same in every process."""
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest[1:], "big") % dimension, 1.0 if digest[0] & 1 else -1.0


def check_hash_dimension(owner: str, value: object, *, least: int) -> None:
    """Raise ConfigError unless ``value`` is a whole number from ``least`` to 256."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST_HASH:
        raise ConfigError(f"{owner} must be a whole number from {least} to {LARGEST_HASH}, got {value!r}")


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"a feature's name must be a non-empty string, got {name!r}")
