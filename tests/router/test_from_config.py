"""Routers from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from armwise import Router
from armwise.errors import ConfigError

PRICED = "{name: small, input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.4}"


def write(tmp_path: Path, *models: str) -> Path:
    path = tmp_path / "router.yaml"
    path.write_text("models:\n" + "".join(f"  - {model}\n" for model in models) + "log: null\nseed: 3\n")
    return path


def test_a_file_makes_a_router_and_keywords_take_precedence(tmp_path: Path) -> None:
    path = write(tmp_path, PRICED, "{name: gpt-4o-mini}", "{name: gone, enabled: false}")
    with Router.from_config(path, policy="uniform") as router:
        assert router.arms == ("small", "gpt-4o-mini")
        assert router.decide("Hello").probabilities == {"small": 0.5, "gpt-4o-mini": 0.5}
        assert router.pool()[1].models[0].output_usd_per_mtok > 0  # from the price list


def test_a_model_without_a_price_is_named_by_its_path(tmp_path: Path) -> None:
    path = write(tmp_path, PRICED, "{name: no-such-model-anywhere}", "{name: gpt-4o-minni, input_usd_per_mtok: 1}")
    with pytest.raises(ConfigError) as caught:
        Router.from_config(path)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}: models[1]: model 'no-such-model-anywhere' has no price")
    assert second.startswith(f"{path}: models[2]: ")
    assert "gpt-4o-mini" in second


def test_the_environment_reaches_the_router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARMWISE_MODELS__0__NAME", "tiny")
    with Router.from_config(write(tmp_path, PRICED)) as router:
        assert router.arms == ("tiny",)
