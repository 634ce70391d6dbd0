"""What an arm is like, read off its particulars."""

from __future__ import annotations

import pytest

from armwise.contracts import Arm, Model
from armwise.predictors.kin import traits


def test_traits_come_from_the_particulars() -> None:
    found = traits(
        Arm.of(
            Model(
                "meta/Llama-3.1-70B-Instruct",
                input_usd_per_mtok=0.5,
                output_usd_per_mtok=0.5,
                context_window=320_000,
                modalities=frozenset({"text", "image"}),
                profile={"mmlu": 0.8},
            )
        )
    )
    assert found == pytest.approx(
        {
            "common": 1.0,
            "ability": 0.539,
            "price": 0.0,
            "size": 0.544,
            "context": 1.0,
            "modality:image": 1.0,
            "family:llama": 1.0,
            "profile:mmlu": 0.6,
        },
        abs=1e-3,
    )


@pytest.mark.parametrize(
    ("name", "size", "family"),
    [
        ("Mixtral-8x7B-v0.1", 56.0, "mixtral"),
        ("gpt-4-1106-preview", None, "gpt"),
        ("Qwen1.5-7B-Chat", 7.0, "qwen"),
        ("c4ai-command-r-v01", None, "ai"),
        ("123", None, None),
    ],
)
def test_size_and_family_are_read_from_the_name(name: str, size: float | None, family: str | None) -> None:
    found = traits(Arm.of(Model(name)))
    assert ("size" in found) == (size is not None)
    if size is not None:
        assert 20 * 10 ** found["size"] == pytest.approx(size)
    assert [trait for trait in found if trait.startswith("family")] == ([f"family:{family}"] if family else [])


def test_what_is_declared_comes_before_the_name() -> None:
    assert "family:openai" in traits(Arm.of(Model("gpt-4", family="openai")))
    assert "family:llama" in traits(Arm.of(Model("my-model", upstream="llama-3-8b")))


def test_a_plan_has_the_mean_of_its_models_and_a_trait_of_its_own() -> None:
    cheap = Model("a-model", family="x", input_usd_per_mtok=0.05, output_usd_per_mtok=0.05)
    dear = Model("b-model", family="y", input_usd_per_mtok=5.0, output_usd_per_mtok=5.0)
    found = traits(Arm("both", models=(cheap, dear), plan="cascade"))
    found.pop("ability")
    assert found == pytest.approx({"common": 1.0, "price": 0.0, "family:x": 0.5, "family:y": 0.5, "plan:cascade": 1.0})


def test_extreme_values_stay_bounded() -> None:
    free = traits(Arm.of(Model("free", input_usd_per_mtok=0.0, output_usd_per_mtok=0.0, context_window=0)))
    assert free["price"] == free["context"] == -2.0
