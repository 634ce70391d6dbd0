"""How a log is doing: what the owner of a service looks at, and alarms on."""

from dataclasses import dataclass
from typing import NamedTuple


class Gap(NamedTuple):
    """Positions ``first`` to ``last`` that hold no event, and why: the log says what it lost."""

    first: int
    last: int
    reason: str
    at: float
    """Unix time, seconds."""

    @property
    def events(self) -> int:
        """How many events are missing."""
        return self.last - self.first + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LogHealth:
    """A look at a log's writer."""

    ok: bool
    """False while events cannot be written, and from the first lost event on."""
    position: int
    """Position of the last event appended."""
    durable: int
    """Everything up to this position is on disk, or recorded as lost."""
    queued: int
    """Events that wait for the disk."""
    lost: int
    """Events that will never be on disk; their positions are in the log's table ``gaps``."""
    error: str | None = None
    """Why the last write failed; ``None`` when it did not."""
    failing_since: float | None = None
    """Unix time, seconds, of the first failure of the present trouble."""
    publish_error: str | None = None
    """Why the last periodic publishing failed; ``None`` when it did not. No event is lost by it."""
