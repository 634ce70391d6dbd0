"""Many signals, one outcome: the declared rule."""

from collections.abc import Iterable

from armwise.contracts import Outcome, Signal
from armwise.rewards.kinds import quality_of


def resolve(signals: Iterable[Signal]) -> Outcome:
    """What a decision's signals, in the order of the log, say of it.

    - Measures (``cost_usd``, ``latency_ms``, ``output_tokens``): the latest holds, for a bill may be revised.
    - Quality: the latest ``quality`` signal; where there is none, the mean of the user signals; where there is none
      either, 0 if the call failed, and else ``None``: no feedback is not zero.

    Duplicates by (decision, source, event id) are to be left out before.
    """
    latest: dict[str, float] = {}
    opinions = []
    for signal in signals:
        opinion = quality_of(signal)
        if opinion is None:
            latest[signal.kind] = signal.value
        else:
            opinions.append(opinion)
    error = bool(latest.get("error", 0.0))
    quality = latest.get("quality")
    if quality is None and opinions:
        quality = sum(opinions) / len(opinions)
    if quality is None and error:
        quality = 0.0
    return Outcome(
        quality=quality,
        cost_usd=latest.get("cost_usd"),
        latency_ms=latest.get("latency_ms"),
        output_tokens=latest.get("output_tokens"),
        error=error,
    )
