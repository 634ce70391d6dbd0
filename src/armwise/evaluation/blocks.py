"""Rows in blocks that are read as often as an estimator needs them, from memory or from anywhere else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from armwise.evaluation.feedback import LoggedFeedback
from armwise.evaluation.targets import TargetPolicy

BLOCK = 1 << 16
"""Rows of a block, of all but the last."""

Block = tuple[LoggedFeedback, tuple[TargetPolicy, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks:
    """n rows and what every target would have done on them.

    Attributes:
        rows: n.
        read: begins anew: blocks of ``BLOCK`` rows in the order of the log, checked, with the same targets each time.
    """

    rows: int
    read: Callable[[], Iterator[Block]]

    def numbered(self) -> Iterator[tuple[int, Block]]:
        """Blocks, each with the number of its first row."""
        at = 0
        for block in self.read():
            yield at, block
            at += block[0].n

    @classmethod
    def of(cls, feedback: LoggedFeedback, targets: tuple[TargetPolicy, ...]) -> "Blocks":
        """Views of arrays."""

        def read() -> Iterator[Block]:
            for start in range(0, feedback.n, BLOCK):
                stop = start + BLOCK
                yield feedback.rows(start, stop), tuple(target.rows(start, stop) for target in targets)

        return cls(rows=feedback.n, read=read)
