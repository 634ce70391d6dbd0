"""The door of the ledger: how often one client may speak, and what became of every signal, in plain numbers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass

from armwise.errors import TooManySignals
from armwise.rewards import RewardRules

_MOST_CLIENTS = 10_000


@dataclass(slots=True)
class FeedbackCounters:
    """Signals since the start of the process, by what became of them."""

    taken: int = 0
    retractions: int = 0
    """Of those taken."""
    duplicates: int = 0
    invalid: int = 0
    """Of unknown kind, or with a value out of range."""
    unknown: int = 0
    """For a decision that nobody knows."""
    foreign: int = 0
    """For a decision of another tenant; to the caller it is unknown."""
    throttled: int = 0

    def as_dict(self) -> dict[str, int]:
        """Name -> count."""
        return asdict(self)


class Door:
    """Lets each client's signals in at a steady rate: a bucket of ``per_minute``, refilled over a minute.

    Only clients are held up (see :meth:`RewardRules.is_client`): the application, judges and armwise itself are not.
    What is refused here was never part of the log. Of more than 10,000 clients the longest silent are forgotten.
    """

    def __init__(self, rules: RewardRules) -> None:
        self.rules = rules
        self.counters = FeedbackCounters()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, source: str, count: int, at: float) -> None:
        """Count ``count`` signals of a source at a time in seconds.

        Raises:
            TooManySignals: if it may not send so many now; none counts then.
        """
        most = self.rules.client_signals_per_minute
        if most is None or not self.rules.is_client(source):
            return
        left, since = self._left.pop(source, (most, at))
        left = min(most, left + max(at - since, 0.0) * most / 60.0)
        admitted = left >= count
        self._left[source] = (left - count if admitted else left, at)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        if not admitted:
            self.counters.throttled += count
            raise TooManySignals(
                f"source {source!r} may send {most:g} signals a minute; more can be taken in "
                f"{(count - left) * 60.0 / most:.0f} s"
            )
