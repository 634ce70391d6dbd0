"""What a retrain job reads: a log, live or published, or rows exported as Parquet from anywhere DuckDB reads."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np

from armwise.errors import LogError
from armwise.log import open_reader
from armwise.log.reading import Reading, Span
from armwise.log.schema import reader_settings


class ExportedRows(Reading):
    """Rows of the view ``rewarded``, exported as Parquet: ``COPY (FROM rewarded) TO 'rows.parquet'``.

    Args:
        pattern: a path, a glob, or a URL of an object store, for which DuckDB's extension httpfs has to be installed.

    Raises:
        LogError: if nothing can be read there: no such file, half-written, or not of a log.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._root = duckdb.connect(":memory:", config=reader_settings())
        escaped = pattern.replace("'", "''")
        try:
            if "://" in pattern:
                self._root.execute("LOAD httpfs")
            columns = {
                name
                for (name, *_) in self._root.execute(
                    f"DESCRIBE SELECT * FROM read_parquet('{escaped}', union_by_name = true)"
                ).fetchall()
            }
            missing = {"id", "position", "arms", "probability_of", "propensity", "vector", "quality"} - columns
            if missing:
                raise LogError(
                    f"{pattern} holds no rows of a log: it lacks {', '.join(sorted(missing))}; "
                    "export them by COPY (FROM rewarded) TO 'rows.parquet'"
                )
            head = "" if "head" in columns else ", NULL AS head"
            came = ", CASE WHEN quality IS NOT NULL THEN unix_time END AS quality_unix_time"
            came = "" if "quality_unix_time" in columns else came
            rows = f"SELECT *{head}{came} FROM read_parquet('{escaped}', union_by_name = true)"
            for statement in (
                f"CREATE VIEW rewarded AS {rows}",
                "CREATE VIEW decisions AS FROM rewarded",
                "CREATE TABLE pool_changes (position BIGINT, action VARCHAR, name VARCHAR, arm VARCHAR)",
            ):
                self._root.execute(statement)
        except duckdb.Error as error:
            self._root.close()
            raise LogError(f"cannot read {pattern}: {str(error).splitlines()[0]}") from error

    @property
    def name(self) -> str:
        return f"the rows {self._pattern}"

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self._root.cursor()

    def close(self) -> None:
        self._root.close()

    def _spans(self, after: int) -> list[Span]:
        raise LogError(f"{self.name} are outcomes, not events: they cannot be replayed")


def open_source(source: str) -> Reading:
    """A log by its file or published directory; anything else is Parquet by path, glob or URL.

    Raises:
        LogError: if it cannot be read.
    """
    path = Path(source)
    if "://" in source or "*" in source or (path.suffix == ".parquet" and not path.is_dir()):
        return ExportedRows(source)
    return open_reader(source)


def cuts(reader: Reading, feature_version: str, shares: tuple[float, ...], latest: int | None) -> list[int]:
    """Positions at which the rows, from the latest so many on, reach each share of their number; the first, then each.

    The first number is the position behind which the rows begin.
    """
    limit = "" if latest is None else f"LIMIT {int(latest)}"
    found = reader.query(
        f"SELECT position FROM decisions WHERE feature_version = $1 AND head IS NULL ORDER BY position DESC {limit}",
        [feature_version],
    )
    positions = np.sort(found.column(0).to_numpy())
    ends = [max(round(share * len(positions)), 1) - 1 for share in shares]
    return [int(positions[0]) - 1, *(int(positions[end]) for end in ends)]
