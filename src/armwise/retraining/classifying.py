"""The classifier of tasks, from the log: callers' labels teach it, and later labels judge it.

The log has no prompts, but the features of every request, and in them whether its caller named the task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from armwise.config.classifier import ClassifierSettings
from armwise.errors import BadInput
from armwise.log.reading import Reading
from armwise.predictors.labels import LabelClassifier

Floats: TypeAlias = NDArray[np.float64]
Columns: TypeAlias = NDArray[np.intp]

_OF_LABEL = "label#"
_OF_TASK = "task_"
_SURE = 1.96


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskTraining:
    """What was learned of the callers' tasks.

    Attributes:
        classifier: that learned from all of the labels.
        labels: task -> labelled requests that it learned from.
        held_out: labelled requests that judged one that had not seen them.
        accuracy: share of them that it named rightly.
        commonest: share of the commonest task among them: what is right without looking.
        lower: of the difference, at 95%.
    """

    classifier: LabelClassifier
    labels: dict[str, int]
    held_out: int
    accuracy: float
    commonest: float
    lower: float

    @property
    def passed(self) -> bool:
        """Whether it is better than always naming the commonest task, beyond what chance explains."""
        return self.lower > 0.0

    @property
    def reason(self) -> str:
        """In one line."""
        told = f"{self.accuracy:.1%} right of {self.held_out} held-out labels, the commonest task {self.commonest:.1%}"
        return told if self.passed else f"not better than the commonest task beyond chance: {told}"

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for JSON."""
        names = ("labels", "held_out", "accuracy", "commonest", "lower", "passed", "reason")
        return {name: getattr(self, name) for name in names}


def learn_tasks(
    log: Reading, *, names: Sequence[str], feature_version: str, settings: ClassifierSettings
) -> TaskTraining:
    """Learn which task callers name from the requests of a log that came with a label.

    Args:
        names: of the features, the encoder's.
        feature_version: of the rows to use.

    Raises:
        BadInput: if the features do not tell labels, or there are too few.
        LogError: if the log cannot be read.
    """
    marks = [at for at, name in enumerate(names) if name.startswith(_OF_LABEL)]
    if not marks:
        raise BadInput("these features do not keep whether a task is the caller's: set features.label_dimension over 0")
    label = f"vector[{marks[0] + 1}:{marks[-1] + 1}]"
    rows = log.query(
        "SELECT task, coalesce(vector_exact, vector::DOUBLE[]) AS vector FROM decisions WHERE feature_version = $1 "
        f"AND greatest(list_max({label}), -list_min({label})) > 0 "
        f"ORDER BY position DESC LIMIT {settings.latest_rows}",
        [feature_version],
    )
    tasks = rows.column("task").to_pylist()[::-1]
    counts = Counter(tasks)
    kept = {task for task, count in counts.items() if count >= settings.least_labels}
    if len(kept) < 2:
        seen = ", ".join(f"{task} {count}" for task, count in counts.most_common(5)) or "none"
        raise BadInput(
            f"{log.name} has too few task labels to learn from: it takes {settings.least_labels} of each of two tasks "
            f"(classifier.least_labels), and there are: {seen}. Callers give them as Request.task, or to the gateway "
            "as armwise.task"
        )
    vectors = np.array(rows.column("vector").to_pylist()[::-1], dtype=np.float64)
    use = np.array([task in kept for task in tasks])
    vectors, labels = vectors[use], [task for task in tasks if task in kept]
    columns = np.array([at for at, name in enumerate(names) if not name.startswith((_OF_LABEL, _OF_TASK))], np.intp)
    return _judged(vectors, labels, columns, settings)


def _judged(
    vectors: Floats,
    labels: list[str],
    columns: Columns,
    settings: ClassifierSettings,
) -> TaskTraining:
    cut = len(labels) - max(1, round(settings.held_out * len(labels)))
    earlier = labels[:cut]
    if len(set(earlier)) < 2:
        raise BadInput(
            f"of the {len(labels)} labelled requests, the {cut} earlier ones are all of one task: there is nothing to "
            "learn from until the tasks mix"
        )
    trial = fit(vectors[:cut], earlier, columns=columns, precision=settings.precision)
    later = np.array(labels[cut:])
    right = np.array(trial.guess_many(vectors[cut:])) == later
    usual = later == Counter(earlier).most_common(1)[0][0]
    gain = right.astype(np.float64) - usual
    error = float(gain.std(ddof=1)) / len(gain) ** 0.5 if len(gain) > 1 else float("inf")
    return TaskTraining(
        classifier=fit(vectors, labels, columns=columns, precision=settings.precision),
        labels=dict(Counter(labels).most_common()),
        held_out=len(later),
        accuracy=float(right.mean()),
        commonest=float(usual.mean()),
        lower=float(gain.mean()) - _SURE * error,
    )


def fit(vectors: Floats, labels: Sequence[str], *, columns: Columns, precision: float = 1.0) -> LabelClassifier:
    """Penalised maximum likelihood (multinomial logistic regression) on labelled vectors, shape (n, dimension).

    Raises:
        BadInput: with fewer than two different labels.
    """
    tasks, codes = np.unique(np.asarray(labels), return_inverse=True)
    if len(tasks) < 2:
        raise BadInput(f"a classifier needs at least two tasks, got {tasks.tolist()}")
    x = np.column_stack((vectors[:, columns], np.ones(len(vectors))))
    shape = len(tasks), x.shape[1]
    chosen = np.zeros((len(x), len(tasks)))
    chosen[np.arange(len(x)), codes] = 1.0
    ridge = np.full(shape, precision)
    ridge[:, -1] = 1e-3

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        scores = x @ weights.T
        value = -float((chosen * log_softmax(scores, axis=1)).sum()) + 0.5 * float((ridge * weights**2).sum())
        return value, ((softmax(scores, axis=1) - chosen).T @ x + ridge * weights).ravel()

    found = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return LabelClassifier(tasks=tasks.tolist(), weights=found.x.reshape(shape), columns=columns)
