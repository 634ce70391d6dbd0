"""Candidates by what is written on a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from armwise.errors import BadInput, ConfigError, SnapshotError
from armwise.log.reading import Reading
from armwise.offline import make_candidates, summary


def test_each_kind(log: Reading, log_path: Path) -> None:
    snapshots = Path(f"{log_path}.snapshots")
    file = next(snapshots.glob("*.snapshot"))
    made = make_candidates(
        ["squarecb", "mine=thompson", "arm:large", "arm:*", "last=snapshot:latest", f"file={file}"],
        log,
        summary(log),
        snapshots=snapshots,
    )
    names = ["squarecb", "mine", "always large", "always small", "always middle", "always large", "last", "file"]
    assert [candidate.name for candidate in made] == names
    assert [candidate.learns for candidate in made] == [True, True, *[False] * 6]
    assert made[-1].learned_to == made[-2].learned_to > 0


def test_what_names_nothing(log: Reading, tmp_path: Path) -> None:
    about = summary(log)
    with pytest.raises(BadInput, match=r"candidate 'sqarecb' is no configuration .* did you mean 'squarecb'"):
        make_candidates(["sqarecb"], log, about)
    with pytest.raises(BadInput, match="unknown arm 'huge'"):
        make_candidates(["arm:huge"], log, about)
    with pytest.raises(ConfigError, match="no such file"):
        make_candidates([f"{tmp_path}/none.yaml"], log, about)
    with pytest.raises(SnapshotError, match="there are no snapshots"):
        make_candidates(["snapshot:latest"], log, about, snapshots=tmp_path / "none")
    (tmp_path / "none").mkdir()
    with pytest.raises(SnapshotError, match="there is no snapshot in"):
        make_candidates(["snapshot:latest"], log, about, snapshots=tmp_path / "none")
    with pytest.raises(SnapshotError, match="cannot read the snapshot"):
        make_candidates([f"{tmp_path}/none.snapshot"], log, about)


def test_a_configuration_over_other_features_is_refused(log: Reading, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("models: [{name: small, input_usd_per_mtok: 1, output_usd_per_mtok: 1}]\n")
    with pytest.raises(BadInput, match="candidate 'c' uses features"):
        make_candidates([str(config)], log, summary(log))
