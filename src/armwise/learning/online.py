"""The online learner: the fold of the log's events into the decider's state."""

import math
from collections.abc import Callable, Iterable

from armwise.contracts import (
    Attempt,
    BudgetChange,
    Decision,
    Event,
    JudgeDraw,
    PoolChange,
    RolloutChange,
    Signal,
    SourceChange,
    State,
)
from armwise.decider import Decider
from armwise.errors import CallerError, UnknownDecision
from armwise.learning.cases import Case, Cases
from armwise.rewards import RULES, Opinion, RewardRules, SourceModel, Standing, read
from armwise.rollout import Trained

Recall = Callable[[str, int], tuple[Decision, list[Signal]] | None]
"""Decision id, position -> the decision and its signals before that position, from the log; None if it has none."""

Fetch = Callable[[str], Trained]
"""Version -> a policy of the registry."""


_NOTHING = read(())


class OnlineLearner:
    """Applies events one by one, in the order of the log, and remembers the recent decisions that signals refer to.

    Older decisions are recalled from the log, which gives the same records bit for bit, so what is learned does not
    depend on how much is kept in memory. ``memory`` bounds the number of decisions kept.
    """

    def __init__(
        self,
        decider: Decider,
        *,
        recall: Recall,
        fetch: Fetch | None = None,
        memory: int = 50_000,
        rules: RewardRules = RULES,
    ) -> None:
        self.decider = decider
        self.rules = rules
        self.standing = Standing()
        self._standings = 0  # how often it has changed
        self.sources = SourceModel(rules)
        self._latest_at = 0.0
        self._proposed: dict[str, SourceChange] = {}
        self._recall = recall
        self._fetch = fetch
        self._open = Cases(memory)

    def apply(self, event: Event, position: int) -> None:
        """Fold one event into the state. A duplicate signal, or one for a decision nobody knows, changes nothing."""
        if isinstance(event, Decision):
            self._open.put(Case(event, [], _NOTHING, self._standings))
            self.decider.decided(event)
        elif isinstance(event, Signal):
            self._learn(event, position)
        elif isinstance(event, PoolChange):
            self.decider.change_pool(event)
        elif isinstance(event, BudgetChange):
            self.decider.change_budget(event)
        elif isinstance(event, JudgeDraw):
            self.decider.pacer.drawn(event)
        elif isinstance(event, Attempt):
            self._attempted(event, position)
        elif isinstance(event, SourceChange):
            self.standing.add(event)
            self._standings += 1
            self.sources.changed(event)
            self._proposed.pop(event.source, None)
        elif isinstance(event, RolloutChange):
            self.decider.change_rollout(event, self.trained_for(event))

    def trained_for(self, change: RolloutChange) -> Trained | None:
        """The policy that a change of the rollout brings, where it brings one and there is a registry to ask.

        Raises:
            SnapshotError: if the registry does not hold it, or it is damaged.
        """
        if self._fetch is None or not self.decider.rollout.needs(change):
            return None
        return self._fetch(change.version)

    def replay(self, events: Iterable[tuple[int, Event]]) -> None:
        """Fold a stretch of the log. A change of pool or budget that was refused at first is refused again.

        Raises:
            SnapshotError: at a decision that was made on other features, or a promoted policy that is not there.
        """
        for position, event in events:
            if isinstance(event, Decision):
                self.decider.check_features(event.feature_version)
            try:
                self.apply(event, position)
            except CallerError:
                if not isinstance(event, (PoolChange, BudgetChange)):
                    raise

    def forget_cases(self) -> None:
        """Keep no decision in memory: whatever is asked for next is recalled from the log, as it is by then."""
        self._open.clear()

    def case(self, decision_id: str, position: int) -> tuple[Decision, list[Signal]]:
        """A decision and its signals before a position of the log.

        Raises:
            UnknownDecision: if neither memory nor log holds it.
        """
        kept = self._open.get(decision_id)
        if kept is not None:
            return kept.decision, kept.signals
        case = self._recall(decision_id, position)
        if case is None:
            raise self.unknown(decision_id)
        return case

    def unknown(self, decision_id: str) -> UnknownDecision:
        """The error for a decision that is not there, or not for whoever asks."""
        return UnknownDecision(
            f"no decision {decision_id!r}: it was not made by this router, or was made without a log and "
            f"more than {self._open.memory:,} decisions ago"
        )

    def _learn(self, signal: Signal, position: int) -> None:
        try:
            decision, signals = self.case(signal.decision_id, position)
        except UnknownDecision:
            return
        if any(known.key == signal.key for known in signals):
            return
        kept = self._open.get(decision.id)
        if kept is not None and kept.reading is not None and kept.standing == self._standings:
            before = kept.reading
        else:
            before = read(signals, self.rules, self.standing)
        signals.append(signal)
        if signal.kind == "tool_valid":
            self.decider.called_tools(decision, signal.value >= 0.5)
        known = read(signals, self.rules, self.standing)
        self._open.put(Case(decision, signals, known, self._standings))
        self.decider.learn(decision, known.outcome, before.outcome, head=self._head(decision, position))
        self._latest_at = max(self._latest_at, signal.at)
        if known.opinions != before.opinions:
            self._compare(known.opinions, before.opinions, decision.arm)

    def _head(self, decision: Decision, position: int) -> Decision | None:
        """The decision that drew the arm of a session, where that is another and still known."""
        if decision.head is None:
            return None
        try:
            return self.case(decision.head, position)[0]
        except UnknownDecision:
            return None

    def _compare(self, after: list[Opinion], before: list[Opinion], arm: str) -> None:
        """Let the sources be weighed against each other; what follows holds for later signals only."""
        self.sources.learn(after, before, arm=arm)
        if self.sources.due:
            at = math.nextafter(self._latest_at, math.inf)
            self._proposed.update({change.source: change for change in self.sources.propose(self.standing, at)})

    def proposals(self) -> list[SourceChange | RolloutChange]:
        """What follows from the events so far and is not yet among them: the standing of sources, the end of a trial.

        Whoever writes the log appends and applies them. In a replay they follow by themselves.
        """
        proposed: list[SourceChange | RolloutChange] = list(self._proposed.values())
        self._proposed = {}
        trial = self.decider.rollout.trial
        if trial is not None and trial.worse:
            proposed.append(trial.withdrawal(self._latest_at))
        return proposed

    def _attempted(self, attempt: Attempt, position: int) -> None:
        try:
            decision, _ = self.case(attempt.decision_id, position)
        except UnknownDecision:
            return
        self.decider.attempted(decision, attempt)

    # ---------------------------------------------------------------------------- what is remembered

    def state(self) -> State:
        """All that was learned from the events so far: the decider's state, and what the sources are worth."""
        return {
            **self.decider.state(),
            "standing": self.standing.state(),
            "sources": self.sources.state(),
            "latest_at": self._latest_at,
            "rules": repr(self.rules),
        }

    def accepts(self, state: State) -> bool:
        """Whether a saved state was learned by this policy and these rules; if not, the log is replayed.

        Raises:
            SnapshotError: if it was learned from other features.
        """
        same_rules = state.get("rules") == repr(self.rules) and self.sources.accepts(state["sources"])
        return self.decider.accepts(state) and same_rules

    def restore(self, state: State) -> None:
        """Take over a saved state.

        Raises:
            SnapshotError: if it was learned from other features or by another policy.
        """
        self.decider.restore(state)
        self.standing.restore(state["standing"])
        self.sources.restore(state["sources"])
        self._latest_at = float(state["latest_at"])
