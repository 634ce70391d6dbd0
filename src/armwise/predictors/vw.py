"""Quality by VowpalWabbit: a pooled linear regression with a residual per arm."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from armwise.contracts import Arm, Experience, Knowledge, Slots, State, Vector
from armwise.errors import BadInput, SnapshotError

try:
    import vowpal_wabbit_next as vw
except ModuleNotFoundError:  # it has no wheels for Python 3.13 and later; the other engines do not need it
    vw = None  # type: ignore[assignment]

_POOLED, _OWN = "p", "o"
_BITS = 18


class VWModel:
    """VW's online regression (adaptive, normalised, invariant updates: ``--loss_function squared``).

    Every example carries the context twice: in a namespace shared by all arms and in the arm's own, so an arm starts
    from what the others taught. Indices are laid out, not hashed: nothing collides while (arms + 1) x dimension fits
    in 2^18. It has no posterior; pair it with inverse-gap weighting, softmax or epsilon-greedy.

    VW accepts a NaN label or a damaged model without complaint, so values are checked at the borders of armwise and
    snapshots carry a checksum of their own. It is not thread-safe: the router's lock covers it.

    Raises:
        BadInput: if VW does not take the arguments.
    """

    knowledge: ClassVar[Knowledge] = Knowledge.MEAN

    def __init__(self, dimension: int, *, arguments: str = "--learning_rate 0.5 --l2 1e-6") -> None:
        if vw is None:
            raise BadInput("engine 'vw' needs the package vowpal-wabbit-next, which is not installed")
        self.dimension = dimension
        self.arguments = arguments
        self._lessons = 0
        self._arms = 0
        self._open(None)

    def _open(self, model: bytes | None) -> None:
        options = ["--quiet", "-b", str(_BITS), "--min_prediction", "0", "--max_prediction", "1", "--noconstant"]
        try:
            self._workspace = vw.Workspace([*options, *self.arguments.split()], model_data=model)
        except (RuntimeError, ValueError) as error:
            raise BadInput(f"VW does not take {self.arguments!r}: {error}") from error
        self._example: Any = vw.Example()
        self._example.set_label(vw.SimpleLabel(0.0))  # VW wants one even to predict; it does not look at it
        self._pooled: Any = self._example[_POOLED]
        self._own: Any = self._example[_OWN]
        self._pooled_index = np.arange(self.dimension, dtype=np.uint64)

    @property
    def spec(self) -> Mapping[str, Any]:
        return {"engine": type(self).__name__, "dimension": self.dimension, "arguments": self.arguments}

    @property
    def lessons(self) -> int:
        return self._lessons

    def add_arm(self, arm: Arm) -> int:
        if (self._arms + 2) * self.dimension > 1 << _BITS:
            raise BadInput(
                f"VW engine has room for {(1 << _BITS) // self.dimension - 1} arms of {self.dimension} features"
            )
        self._arms += 1
        return self._arms - 1

    def _describe(self, values: Any) -> None:
        self._pooled.truncate_to(0)
        self._pooled.push_many_features(self._pooled_index, values)

    def _point_at(self, slot: int, values: Any) -> None:
        self._own.truncate_to(0)
        self._own.push_many_features(self._pooled_index + np.uint64((slot + 1) * self.dimension), values)

    def predict(self, vector: Vector, slots: Slots) -> Vector:
        values = vector.astype(np.float32)
        self._describe(values)
        out = np.empty(len(slots))
        for i, slot in enumerate(slots.tolist()):
            self._point_at(slot, values)
            out[i] = self._workspace.predict_one(self._example)
        return out

    def learn(self, experience: Experience) -> None:
        if experience.replaces is not None:
            return  # a stochastic-gradient step cannot be taken back; the next rebuild takes the correction in
        values = experience.vector.astype(np.float32)
        self._describe(values)
        self._point_at(experience.slot, values)
        self._example.set_label(vw.SimpleLabel(experience.quality, experience.weight))
        self._workspace.learn_one(self._example)
        self._lessons += 1

    def state(self) -> State:
        model = np.frombuffer(self._workspace.serialize(), dtype=np.uint8)
        return {"dimension": self.dimension, "arms": self._arms, "lessons": self._lessons, "model": model}

    def restore(self, state: State) -> None:
        """Take over a saved state.

        Raises:
            SnapshotError: if its dimension is another.
        """
        if state["dimension"] != self.dimension:
            raise SnapshotError(f"snapshot has {state['dimension']} features per arm, this model has {self.dimension}")
        self._arms, self._lessons = int(state["arms"]), int(state["lessons"])
        self._open(np.asarray(state["model"], dtype=np.uint8).tobytes())
