"""The online learner: the fold of the log's events into the decider's state."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from armwise.contracts import Decision, Event, PoolChange, Signal, SourceChange, State
from armwise.decider import Decider
from armwise.errors import CallerError, UnknownDecision
from armwise.rewards import RULES, RewardRules, Standing, resolve

Recall = Callable[[str, int], tuple[Decision, list[Signal]] | None]
"""Decision id, position -> the decision and its signals before that position, from the log; None if it has none."""


class OnlineLearner:
    """Applies events one by one, in the order of the log, and remembers the recent decisions that signals refer to.

    Older decisions are recalled from the log, which gives the same records bit for bit, so what is learned does not
    depend on how much is kept in memory. ``memory`` bounds the number of decisions kept.
    """

    def __init__(self, decider: Decider, *, recall: Recall, memory: int = 50_000, rules: RewardRules = RULES) -> None:
        self.decider = decider
        self.memory = memory
        self.rules = rules
        self.standing = Standing()
        self._recall = recall
        self._open: OrderedDict[str, tuple[Decision, list[Signal]]] = OrderedDict()

    def apply(self, event: Event, position: int) -> None:
        """Fold one event into the state. A duplicate signal, or one for a decision nobody knows, changes nothing."""
        if isinstance(event, Decision):
            self._keep(event, [])
            self.decider.decided(event)
        elif isinstance(event, Signal):
            self._learn(event, position)
        elif isinstance(event, PoolChange):
            self.decider.change_pool(event)
        elif isinstance(event, SourceChange):
            self.standing.add(event)

    def replay(self, events: Iterable[tuple[int, Event]]) -> None:
        """Fold a stretch of the log. A change of the pool that was refused when it was asked for is refused again.

        Raises:
            SnapshotError: at a decision that was made on other features.
        """
        for position, event in events:
            if isinstance(event, Decision):
                self.decider.check_features(event.feature_version)
            try:
                self.apply(event, position)
            except CallerError:
                if not isinstance(event, PoolChange):
                    raise

    def case(self, decision_id: str, position: int) -> tuple[Decision, list[Signal]]:
        """A decision and its signals before a position of the log.

        Raises:
            UnknownDecision: if neither memory nor log holds it.
        """
        case = self._open.get(decision_id) or self._recall(decision_id, position)
        if case is None:
            raise UnknownDecision(
                f"no decision {decision_id!r}: it was not made by this router, or was made without a log and "
                f"more than {self.memory:,} decisions ago"
            )
        return case

    def _learn(self, signal: Signal, position: int) -> None:
        try:
            decision, signals = self.case(signal.decision_id, position)
        except UnknownDecision:
            return
        if any(known.key == signal.key for known in signals):
            return
        before = resolve(signals, self.rules, self.standing)
        signals.append(signal)
        if decision.id not in self._open:
            self._keep(decision, signals)
        self.decider.learn(decision, resolve(signals, self.rules, self.standing), before)

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        """All that was learned from the events so far: the decider's state, and what the sources are worth."""
        return {**self.decider.state(), "standing": self.standing.state(), "rules": repr(self.rules)}

    def accepts(self, state: State) -> bool:
        """Whether a saved state was learned by this policy and these rules; if not, the log is replayed.

        Raises:
            SnapshotError: if it was learned from other features.
        """
        return self.decider.accepts(state) and state.get("rules") == repr(self.rules)

    def restore(self, state: State) -> None:
        """Take over a saved state.

        Raises:
            SnapshotError: if it was learned from other features or by another policy.
        """
        self.decider.restore(state)
        self.standing.restore(state["standing"])

    def _keep(self, decision: Decision, signals: list[Signal]) -> None:
        self._open[decision.id] = (decision, signals)
        if len(self._open) > self.memory:
            self._open.popitem(last=False)
