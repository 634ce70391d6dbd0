"""A key that cannot be printed by accident."""

from __future__ import annotations

from typing import Final, NoReturn

from armwise.errors import ConfigError


class Secret:
    """Holds an API key. Only :meth:`reveal` gives it out; text, representation and pickling do not.

    Raises:
        ConfigError: if the value could not stand in a header; the message does not repeat it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str, *, name: str = "an API key") -> None:
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{name} is empty")
        if not value.isascii() or not value.isprintable() or " " in value:
            raise ConfigError(f"{name} holds a space, a line break or another character that a key cannot hold")
        self._value: Final = value

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def scrub(self, text: str) -> str:
        """The text without the key, should a provider have repeated it."""
        return text.replace(self._value, "[key]")

    def __repr__(self) -> str:
        return "Secret([key])"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
