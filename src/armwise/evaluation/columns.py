"""The columns of a block: which make which cell, and what of them the draw decides."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from armwise.evaluation.design import DesignMoments
from armwise.evaluation.estimators import Estimator, Terms
from armwise.evaluation.feedback import Floats, Ints, LoggedFeedback
from armwise.evaluation.moments import Layout
from armwise.evaluation.targets import TargetPolicy

_DESIGN_BLOCK = 1 << 13


@dataclass(kw_only=True)
class Columns:
    """Collects the columns of a block and remembers which make which cell, and what of them the draw decides.

    A kind is one target's weights under one rule: index of the target, rule, weights at the drawn arms.
    """

    columns: list[Floats] = field(default_factory=list)
    drawn: list[Floats | None] = field(default_factory=list)
    kinds: list[tuple[int, Estimator, Floats]] = field(default_factory=list)
    _kind_of: list[int] = field(default_factory=list)
    weighted: list[int] = field(default_factory=list)
    direct: list[int] = field(default_factory=list)
    normaliser: list[int] = field(default_factory=list)

    def kind(self, t: int, rule: Estimator, weight: Floats) -> int:
        """The index of a kind, made where it is new."""
        for i, (target, known, _) in enumerate(self.kinds):
            if target == t and known == rule:
                return i
        self.kinds.append((t, rule, rule.weigh(weight)))
        return len(self.kinds) - 1

    def groups(self) -> Ints:
        """[p], the kind of each column."""
        return np.array(self._kind_of, dtype=np.intp)

    def add_target(self, terms: Terms, kinds: list[int], *, whole: bool) -> None:
        """Add the terms of a target; ``whole`` where the draw decides its direct part too."""
        shared = -1
        for j, kind in enumerate(kinds):
            direct = None if terms.direct is None else terms.direct[:, j]
            below = -1
            if terms.normaliser is not None:
                if terms.normaliser.shape[1] > 1 or shared < 0:
                    below_of = terms.normaliser[:, min(j, terms.normaliser.shape[1] - 1)]
                    shared = self._put(below_of, below_of, kind)
                below = shared
            elif direct is not None:
                both = terms.weighted[:, j] + direct
                self.weighted.append(self._put(both, both if whole else terms.weighted[:, j], kind))
                self.direct.append(-1)
                self.normaliser.append(-1)
                continue
            self.weighted.append(self._put(terms.weighted[:, j], terms.weighted[:, j], kind))
            self.direct.append(-1 if direct is None else self._put(direct, None, kind))
            self.normaliser.append(below)

    def _put(self, column: Floats, drawn: Floats | None, kind: int) -> int:
        self.columns.append(column)
        self.drawn.append(drawn)
        self._kind_of.append(kind)
        return len(self.columns) - 1

    def layout(self) -> Layout:
        return Layout(
            columns=len(self.columns),
            weighted=np.array(self.weighted, dtype=np.intp),
            direct=np.array(self.direct, dtype=np.intp),
            normaliser=np.array(self.normaliser, dtype=np.intp),
        )

    def matrix(self, n: int) -> Floats:
        out = np.empty((n, len(self.columns)))
        for i, column in enumerate(self.columns):
            out[:, i] = column
        return out

    def drawn_part(self, cut: slice) -> Floats:
        """[b, p], without what the draw does not decide."""
        parts = [
            column[cut] * 0.0 if drawn is None else drawn[cut]
            for column, drawn in zip(self.columns, self.drawn, strict=True)
        ]
        return np.column_stack(parts)


def add_design(
    design: DesignMoments, builder: Columns, feedback: LoggedFeedback, targets: Sequence[TargetPolicy]
) -> None:
    """Every arm's weights, in blocks that stay in the cache."""
    for start in range(0, feedback.n, _DESIGN_BLOCK):
        cut = slice(start, min(start + _DESIGN_BLOCK, feedback.n))
        table = np.asarray(feedback.logging_probabilities)[cut].astype(np.float64, copy=False)
        weights = [target.rows(cut.start, cut.stop).weights(table) for target in targets]
        weights.append(np.ones(table.shape))
        design.add(
            builder.drawn_part(cut),
            np.column_stack([drawn[cut] for _, _, drawn in builder.kinds]),
            feedback.arm[cut],
            table,
            [rule.weigh(weights[t]) for t, rule, _ in builder.kinds],
        )
