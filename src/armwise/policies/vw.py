"""VowpalWabbit's own contextual-bandit reductions as policies."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from armwise.contracts import Arm, Choice, Experience, QualityModel, Slots, State, Vector
from armwise.errors import BadInput, unknown
from armwise.policies.base import ModelPolicy

try:
    import vowpal_wabbit_next as vw
except ModuleNotFoundError:  # it has no wheels for Python 3.13 and later; the other policies do not need it
    vw = None  # type: ignore[assignment]

REDUCTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "squarecb": ("--squarecb", ("mtr",)),
    "regcb": ("--regcb --mellowness 0.01", ("mtr",)),
    "rnd": ("--rnd {size} --epsilon 0.05", ("mtr",)),
    "bag": ("--bag {size}", ("mtr", "dr", "ips")),
    "cover": ("--cover {size} --psi 0.1", ("mtr", "dr", "ips")),
    "softmax": ("--softmax --lambda 20", ("mtr", "dr", "ips")),
}
"""Name -> VW's options, and the cost estimators (``--cb_type``) that it works with. VW's
own ``--mellowness 0.1`` and ``--psi 1`` hardly leave exploring on costs of this scale."""

_SHARED, _OWN, _PENALTY = "c", "a", "p"
_TAIL = 500
"""Lessons between two saves."""
_HALF = 0.5
"""VW's cost is half of 1 - quality + penalty, so that it is within [0, 1] while penalties are."""


class VWReduction(ModelPolicy):
    """``--cb_explore_adf`` with one of VW's explorers (Bietti, Agarwal & Langford 2021 compare them).

    VW learns from cost = (1 - quality) / 2 alone. What cost and latency take off comes in when choosing, as a feature
    of each arm whose weight is held at 1/2 in every cost regressor and which is never learned from, so that VW ranks
    arms by (1 - quality + penalty) / 2: a change of the exchange rate acts at once, and nothing is relearned. Penalties
    beyond 1 count as 1, for VW wants costs within [0, 1]; gaps are half of what VW's scales (``--gamma_scale``,
    ``--lambda``, ...) are usually meant for. The logged quality is the engine's, which learns beside VW and has no say
    in the choice: VW does not tell its own under exploration.

    VW does not save all that it goes on from (running norms of all but its first regressor, the luck of bag and rnd).
    So every 500 lessons it is saved and opened again, and the state is that model and the lessons since: a snapshot
    goes on as if nothing had happened. Updates are ``--adaptive --invariant``, not normalised: features must be of like
    scale, as the encoder's are. A correction waits for the next rebuild. VW takes NaN and damaged models without
    complaint, holds the interpreter's lock throughout, and costs a few microseconds an arm.

    Args:
        reduction: a key of :data:`REDUCTIONS`.
        cb_type: cost estimator: ``mtr`` (importance-weighted regression), ``dr``, ``ips``. squarecb, regcb, rnd: mtr.
        size: policies or regressors of bag, cover and rnd.
        learning_rate: VW's own default of 0.5 is for normalised updates.
        arguments: further VW options, such as ``--gamma_scale 50``.
        bits: log2 of the number of weights.

    Raises:
        BadInput: on a setting that VW does not take, or when there is no room for an arm.
    """

    name = "vw"

    def __init__(
        self,
        model: QualityModel,
        *,
        reduction: str = "squarecb",
        cb_type: str = "mtr",
        size: int = 4,
        learning_rate: float = 0.02,
        arguments: str = "",
        bits: int = 18,
    ) -> None:
        super().__init__(model)
        if vw is None:
            raise BadInput("policy 'vw' needs the package vowpal-wabbit-next, which is not installed")
        if reduction not in REDUCTIONS:
            raise BadInput(f"policy 'vw': {unknown('reduction', reduction, REDUCTIONS)}")
        option, types = REDUCTIONS[reduction]
        if cb_type not in types:
            raise BadInput(f"policy 'vw': reduction {reduction!r} takes cb_type {', '.join(types)}, got {cb_type!r}")
        for what, value, high in (("size", size, 64), ("bits", bits, 28)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
                raise BadInput(f"policy 'vw' needs a whole number {what} from 1 to {high}, got {value!r}")
        if not 0 < learning_rate < float("inf"):
            raise BadInput(f"policy 'vw' needs learning_rate > 0, got {learning_rate!r}")
        self.reduction, self.cb_type, self.size = reduction, cb_type, size
        self.learning_rate, self.arguments, self.bits = learning_rate, arguments, bits
        self._options = f"{option.format(size=size)} --cb_type {cb_type} --learning_rate {learning_rate} {arguments}"
        self._arms = 0
        self._saved = b""
        self._since: list[Experience] = []
        self._examples: list[Any] = []
        self._shared_index = np.arange(model.dimension, dtype=np.uint64)
        self._open()

    def _open(self) -> None:
        fixed = f"--quiet -b {self.bits} --noconstant --adaptive --invariant --cb_explore_adf"
        try:
            self._workspace = vw.Workspace([*fixed.split(), *self._options.split()], model_data=self._saved or None)
        except (RuntimeError, ValueError) as error:
            raise BadInput(f"VW does not take {self._options!r}: {error}") from error
        weights = self._workspace.weights()  # shape (2^bits, regressors, 4), of which only the first rows are real
        self._rows = (1 << self.bits) // weights.shape[1]
        held = slice(1) if self.reduction == "rnd" else slice(None)  # rnd's others predict noise, not cost
        weights[self._rows - 1, held, 0] = _HALF
        self._penalty_index = np.array([self._rows - 1], dtype=np.uint64)

    @property
    def parameters(self) -> Mapping[str, Any]:
        names = ("reduction", "cb_type", "size", "learning_rate", "arguments", "bits")
        return {name: getattr(self, name) for name in names}

    def choose(self, vector: Vector, slots: Slots, penalty: Vector, *, seed: int) -> Choice:
        quality = self.model.predict(vector, slots)
        if len(slots) == 1:
            return Choice(np.ones(1), quality)
        examples = self._described(vector, slots.tolist())
        taken = np.minimum(np.maximum(penalty, 0.0), 1.0).astype(np.float32)
        for place, example in enumerate(examples):
            example[_PENALTY].push_many_features(self._penalty_index, taken[place : place + 1])
        probabilities = np.zeros(len(slots))
        chances: Any = self._workspace.predict_one(examples)
        for place, chance in chances:
            probabilities[place] = chance
        probabilities /= np.add.reduce(probabilities)  # VW's are float32
        return Choice(probabilities, quality)

    def learn(self, experience: Experience) -> None:
        super().learn(experience)
        if experience.replaces is not None:
            return
        actions = experience.actions or tuple(range(self._arms))
        if experience.slot not in actions:
            actions = (*actions, experience.slot)
        lesson = experience._replace(actions=actions)
        self._teach(lesson)
        self._since.append(lesson)
        if len(self._since) >= _TAIL:
            self._saved = self._workspace.serialize()
            self._since.clear()
            self._open()

    def _teach(self, experience: Experience) -> None:
        actions = list(experience.actions or ())
        examples = self._described(experience.vector, actions)
        chosen = examples[actions.index(experience.slot)]
        cost = _HALF * (1.0 - experience.quality)
        propensity = min(max(experience.propensity, 1e-6), 1.0)
        chosen.set_label(vw.CBLabel(label=(cost, propensity), weight=experience.weight))
        self._workspace.learn_one(examples)
        chosen.set_label(vw.CBLabel())

    def _described(self, vector: Vector, slots: list[int]) -> list[Any]:
        """One example per arm: the context in a namespace that all share and in the arm's own. No penalty yet."""
        values = vector.astype(np.float32)
        while len(self._examples) < len(slots):
            self._examples.append(vw.Example())
            self._examples[-1].set_label(vw.CBLabel())
        examples = self._examples[: len(slots)]
        for example, slot in zip(examples, slots, strict=True):
            for space in (_SHARED, _OWN, _PENALTY):
                example[space].truncate_to(0)
            example[_SHARED].push_many_features(self._shared_index, values)
            example[_OWN].push_many_features(self._shared_index + np.uint64((slot + 1) * self.model.dimension), values)
        return examples

    def add_arm(self, arm: Arm) -> int:
        room = (self._rows - 1) // self.model.dimension - 1
        if self._arms >= room:
            raise BadInput(
                f"policy 'vw' has room for {room} arms of {self.model.dimension} features with {self.bits} bits"
            )
        self._arms += 1
        return super().add_arm(arm)

    def state(self) -> State:
        since, width = self._since, self.model.dimension
        chosen = [lesson.actions or () for lesson in since]
        return {
            **super().state(),
            "arms": self._arms,
            "saved": np.frombuffer(self._saved, dtype=np.uint8),
            "vectors": np.array([lesson.vector for lesson in since], dtype=np.float64).reshape(-1, width),
            "numbers": np.array([(e.quality, e.propensity, e.weight) for e in since], dtype=np.float64).reshape(-1, 3),
            "slots": np.array([lesson.slot for lesson in since], dtype=np.int64),
            "counts": np.array([len(actions) for actions in chosen], dtype=np.int64),
            "actions": np.array([slot for actions in chosen for slot in actions], dtype=np.int64),
        }

    def restore(self, state: State) -> None:
        super().restore(state)
        self._arms = int(state["arms"])
        self._saved = np.asarray(state["saved"], dtype=np.uint8).tobytes()
        self._open()
        ends = np.cumsum(state["counts"])
        self._since = [
            Experience(
                vector,
                slot,
                quality,
                propensity,
                weight=weight,
                actions=tuple(state["actions"][end - count : end].tolist()),
            )
            for vector, slot, (quality, propensity, weight), count, end in zip(
                state["vectors"].copy(),
                state["slots"].tolist(),
                state["numbers"].tolist(),
                state["counts"].tolist(),
                ends.tolist(),
                strict=True,
            )
        ]
        for lesson in self._since:
            self._teach(lesson)
