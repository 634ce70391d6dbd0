"""A log that is read block by block says what it says as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from armwise.errors import LogError
from armwise.evaluation import LoggedFeedback
from armwise.features import VectorEncoder
from armwise.log.reading import Reading
from armwise.offline import Candidate, LoggedRows, constant, fresh, pool_of, read_blocks, read_rows
from armwise.offline.asking import ask
from armwise.offline.reading import read_outcomes
from armwise.offline.spool import Spool

ABOUT = {"dimension": 4, "feature_version": VectorEncoder(4).version}


def cut(rows: LoggedRows, block: int) -> Iterator[LoggedRows]:
    for start in range(0, len(rows), block):
        yield rows.take(slice(start, start + block))


def candidates(log: Reading) -> list[Candidate]:
    pool = pool_of(log)
    return [
        constant("dear", "large", pool, **ABOUT),
        fresh("learner", {"name": "epsilon", "epsilon": 0.1}, pool, **ABOUT),
        fresh("sampler", "thompson", pool, **ABOUT),
    ]


@pytest.mark.parametrize("refresh", [None, 70])
@pytest.mark.parametrize("block", [64, 333])
def test_blocks_say_what_the_whole_says(log: Reading, refresh: int | None, block: int) -> None:
    rows = read_rows(log).take(slice(0, 1_000))
    keep = np.random.default_rng(0).random(700) < 0.9
    found = []
    for size, spooled in ((1_000, 1_000), (block, 128)):
        with Spool(block=spooled) as spool:
            asked = ask(
                cut(rows, size),
                candidates(log),
                spool,
                outcomes=rows,
                start=300,
                keep=keep,
                refresh=refresh,
                labels=("task",),
                say=lambda text: None,
            )
            assert [len(parts[0]) for parts in spool.read()][:-1] == [spooled] * (int(keep.sum()) // spooled)
            feedback = LoggedFeedback(
                arms=rows.arms,
                arm=rows.arm[300:][keep],
                propensity=asked.propensity,
                outcomes={"quality": rows.quality[300:][keep]},
            )
            tables: dict[str, list[np.ndarray]] = {}
            vectors = []
            for part, targets in asked.blocks(feedback):
                vectors.append(part.features)
                for target in targets:
                    tables.setdefault(target.name, []).append(target.probabilities)
            found.append((asked, {name: np.concatenate(parts) for name, parts in tables.items()}))
            np.testing.assert_array_equal(np.concatenate(vectors), rows.vectors[300:][keep])
    (whole, whole_tables), (blocks, block_tables) = found
    assert (whole.learned, whole.trade) == (blocks.learned, blocks.trade)
    assert whole.learned["learner"] == (1_000 if refresh else 300)
    np.testing.assert_array_equal(whole.propensity, blocks.propensity)
    for name, table in whole_tables.items():
        np.testing.assert_allclose(block_tables[name], table, rtol=1e-6)


def test_rows_that_are_gone_meanwhile_are_missed(log: Reading) -> None:
    known = read_outcomes(log)
    assert sum(map(len, read_blocks(log, outcomes=known))) == len(known)
    for lost in (known.take(slice(1, None)), known.take(slice(0, -1)), known.take(slice(0, None, 2))):
        with pytest.raises(LogError, match="lost decisions while it was read; read it again"):
            list(read_blocks(log, outcomes=lost))


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Spool(block=2) as spool:
        spool.put([np.zeros(1)])
        monkeypatch.setattr(spool, "_path", lambda number: tmp_path / "missing" / "0.npy")
        with pytest.raises(LogError, match=r"cannot keep rows in .* \(No such file or directory\); make room"):
            spool.put([np.zeros(1)])
