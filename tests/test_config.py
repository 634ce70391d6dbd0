"""Settings: every complaint names the path, what came, what is allowed, and the near miss."""

# ruff: noqa: E501 (a table reads best with one case a line)

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from armwise.config import RouterConfig, load_config, missing_keys, parse_config
from armwise.errors import ConfigError
from armwise.policies import POLICIES

GOOD: dict[str, Any] = {
    "models": [
        {"name": "small", "input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.4},
        {"name": "large", "input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0, "api_key_env": "LARGE_KEY"},
    ],
    "objective": {"max_quality": {"spend_usd_per_request": 6e-4}},
}
KEYS = {"LARGE_KEY": "sk-very-secret"}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good config with one place changed; ``models.0.name`` style."""
    out = copy.deepcopy(GOOD)
    at: Any = out
    *steps, last = path.split(".")
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    at[int(last) if isinstance(at, list) else last] = value
    return out


def test_a_good_config_has_defaults_for_the_rest() -> None:
    config = parse_config(GOOD, env=KEYS)
    assert config.policy_settings() == {"name": "thompson"}
    assert config.log.path == "armwise.duckdb"
    assert config.objective.record().spend_usd_per_request == 6e-4
    assert [model.name for model in config.records()] == ["small", "large"]
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("modles", [], r"f.yaml: modles: unknown setting 'modles'; did you mean 'models'\?"),
        ("models.0.nam", "x", r"f.yaml: models\[0\].nam: unknown setting 'nam'; did you mean 'name'\?"),
        ("objective.max_quality.spend", 1, r"objective.max_quality.spend: unknown setting 'spend'.*known: 'budgets', 'latency_weight'"),
        ("models.0.input_usd_per_mtok", "cheap", r"models\[0\].input_usd_per_mtok: .*valid number.*got str 'cheap'"),
        ("models.0.input_usd_per_mtok", -1, r"models\[0\].input_usd_per_mtok: .*greater than or equal to 0, got int -1"),
        ("models.0.input_usd_per_mtok", float("nan"), r"models\[0\].input_usd_per_mtok: .*finite.*got float nan"),
        ("models.0.context_window", 0, r"models\[0\].context_window: .*greater than 0, got int 0"),
        ("models.0.tools", "perhaps", r"models\[0\].tools: .*boolean.*got str 'perhaps'"),
        ("models.0.clearance", "secret", r"models\[0\].clearance: .*'public'.*got str 'secret'"),
        ("models.0.provider", "acme", r"models\[0\].provider: .*'openai', 'anthropic' or 'gemini'.*got str 'acme'"),
        ("models.0", {"input_usd_per_mtok": 1}, r"models\[0\].name: is missing"),
        ("models.0", "small", r"models\[0\]: .*got str 'small'"),
        ("models.1.name", "small", r"models: duplicate name 'small'; every model needs its own"),
        ("models", [], r"models: .*at least 1 item.*got list \[\]"),
        ("models.0.api_key_env", "NO_SUCH_KEY", r"models\[0\].api_key_env: the environment has no NO_SUCH_KEY"),
        ("objective", {}, r"objective: takes exactly one of max_quality, min_cost, tradeoff; got none"),
        ("objective.tradeoff", {}, r"objective: takes exactly one of .*; got max_quality, tradeoff"),
        ("rules", [{"name": "r", "then": {"arms": ["larg"]}}], r"rules and routes: rule 'r': unknown arm 'larg'; did you mean 'large'"),
        ("rules", [{"name": "r", "when": {"patern": "x"}, "then": {}}], r"rules\[0\].when.patern: unknown setting 'patern'; did you mean 'pattern'"),
        ("rules", [{"name": "r", "when": {"pattern": "("}, "then": {}}], r"rules\[0\]: pattern '\(' is not a regular expression"),
        ("rules", [{"name": "r", "then": {}}], r"rules\[0\]: then is empty; allowed are arms, "),
        ("rules", [{"name": "r"}], r"rules\[0\].then: is missing"),
        ("routes", {"small": {}}, r"route 'small': the name is taken"),
        ("routes", {"code": {"likness": 1}}, r"routes.code.likness: unknown setting 'likness'; did you mean 'likeness'"),
        ("sessions", {"idle": 1}, r"sessions.idle: unknown setting 'idle'; did you mean 'idle_s'"),
        ("plans", {"p": {"cascade": {"tiers": ["small", "larg"]}}}, r"plans: plan 'p'.cascade.tiers\[1\]: unknown model 'larg'; did you mean 'large'"),
        ("plans", {"p": {"cascade": {"tiers": ["small", "p"]}}}, r"plan 'p' contains itself: p -> p"),
        ("plans", {"p": 3}, r"plans.p: .*dictionary, got int 3"),
        ("fallback", {"order": ["larg"]}, r"fallback.order: unknown arm 'larg'; did you mean 'large'"),
        ("fallback", {"max_arm": 2}, r"fallback.max_arm: unknown setting 'max_arm'; did you mean 'max_arms'"),
        ("fallback", {"reasons": ["failures"]}, r"fallback.reasons\[0\]: .*'failure'"),
        ("objective", {"min_cost": {"reference": "larg"}}, r"objective.min_cost.reference: unknown arm 'larg'; did you mean 'large'"),
        ("objective", {"min_cost": {"reference": "large", "quality_fraction": 2}}, r"quality_fraction: .*less than or equal to 1, got int 2"),
        ("objective.max_quality.budgets", [{"usd": -1}], r"max_quality.budgets\[0\].usd: .*greater than or equal to 0, got int -1"),
        ("objective.max_quality.budgets", [{}], r"max_quality.budgets\[0\].usd: is missing"),
        ("objective.max_quality.budgets", [{"usd": 1, "tennant": "a"}], r"budgets\[0\].tennant: unknown setting 'tennant'; did you mean 'tenant'"),
        ("objective.max_quality.budgets", [{"usd": 1, "per": "month"}], r"budgets\[0\].per: .*'request' or 'day'.*got str 'month'"),
        ("objective.max_quality.budgets", [{"usd": 1, "tenant": ""}], r"budgets\[0\].tenant: .*at least 1 character"),
        ("objective.max_quality.budgets", [{"usd": 0, "per": "request"}], r"budgets\[0\]: .*above 0 per request, got 0.*give a budget of 0 per day"),
        ("objective.max_quality.budgets", [{"usd": 1, "per": "request", "hard_stop": True}], r"budgets\[0\]: .*hard_stop needs a budget per day"),
        ("objective.max_quality.budgets", [{"usd": 1}, {"usd": 2}], r"objective: .*two budgets are called 'day'; give each a name of its own"),
        ("objective.max_quality.budgets", 5, r"budgets: .*got int 5"),
        ("objective", {"max_quality": {}}, r"objective: .*needs at least one of spend_usd_per_request, spend_usd_per_day and budgets"),
        ("policy", "tompson", r"policy: unknown policy 'tompson'; did you mean 'thompson'"),
        ("policy", {"name": "squarecb", "gama": 1}, r"policy: policy 'squarecb': .*gama"),
        ("policy", {"name": "squarecb", "gama": 1}, r"unknown parameter 'gama'; did you mean 'gamma'\? \(known: 'exponent', 'gamma'"),
        ("policy", {"name": "thompson", "model": {"forgeting": 1}}, r"engine 'mixed': unknown parameter 'forgeting'; did you mean 'forgetting'"),
        ("policy", {"name": "thompson", "scale": "big"}, r"policy 'thompson': scale='big' cannot be taken"),
        ("models.0.base_url", "ftp://x", r"models\[0\].base_url: must be an address such as"),
        ("models.0.base_url", "localhost:8000", r"models\[0\].base_url: must be an address such as"),
        ("models.0.base_url", "http://x:port", r"models\[0\].base_url: must be an address such as"),
        ("gateway.aliases", {"gpt-4": "larg"}, r"gateway.aliases.gpt-4: unknown model 'larg'; did you mean 'large'"),
        ("gateway.tenants", [{"name": "t", "keys": ["env:T"], "arms": ["larg"]}], r"gateway.tenants\[0\].arms: unknown arm 'larg'; did you mean 'large'"),
        ("judging.judges", [{"name": "j", "kind": "exact", "signal": "sucess"}], r"judging.judges\[0\].signal: unknown signal kind 'sucess'"),
        ("sensitivity.phone_regions", ["ZZ"], r"phone_regions must be country codes such as 'US', got 'ZZ'"),
        ("policy", {"gamma": 1}, r"policy: name is missing"),
        ("policy", {"name": "thompson", "engine": "vw"}, r"policy: .*needs an engine with a posterior"),
        ("log.snapshot_every", 0, r"log.snapshot_every: .*greater than 0"),
        ("log", 7, r"log.path: .*string.*got int 7"),
        ("seed", "x", r"seed: .*integer.*got str 'x'"),
    ],
)  # fmt: skip
def test_each_complaint(path: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_config(changed(path, value), source="f.yaml", env=KEYS)


@pytest.mark.parametrize("name", POLICIES)
def test_any_policy_can_be_named(name: str) -> None:
    policy = {"name": "fixed", "arm": "small"} if name == "fixed" else name
    assert parse_config(changed("policy", policy), env=KEYS).policy_settings()["name"] == name


def test_with_judges_thompson_explores_as_much_as_they_can_follow_unless_told() -> None:
    def explored(policy: Any, *rates: float) -> float | None:
        judges = [{"name": f"j{i}", "kind": "exact", "rate": rate} for i, rate in enumerate(rates)]
        settings = parse_config(changed("judging", {"judges": judges}) | {"policy": policy}, env=KEYS).policy_settings()
        return settings.get("explored")

    assert explored("thompson") is None
    assert explored("thompson", 0.1) == pytest.approx(0.1)
    assert explored("feelgood", 0.1, 0.1) == pytest.approx(0.19)  # one or the other looks at it
    assert explored("thompson", 1.0) == 1.0
    assert explored({"name": "thompson", "explored": 0.5}, 0.1) == 0.5
    assert explored("squarecb", 0.1) is None


def test_an_arm_that_a_fixed_policy_names_must_be_in_the_pool() -> None:
    with pytest.raises(ConfigError, match="policy: unknown arm 'larg'; did you mean 'large'"):
        parse_config(changed("policy", {"name": "fixed", "arm": "larg"}), env=KEYS)


def test_all_complaints_come_at_once() -> None:
    data = changed("models.0.nam", "x")
    data["seed"] = "y"
    data["models"][1]["tools"] = 5
    with pytest.raises(ConfigError) as caught:
        parse_config(data, source="f.yaml", env=KEYS)
    assert len(str(caught.value).splitlines()) == 3


def test_a_disabled_model_needs_no_key_and_is_not_in_the_pool() -> None:
    config = parse_config(changed("models.1.enabled", False))
    assert [model.name for model in config.records()] == ["small"]


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("ARMWISE_LOG__PATH", "/tmp/x.duckdb", lambda c: c.log.path == "/tmp/x.duckdb"),
        ("ARMWISE_LOG", "null", lambda c: c.log.path is None),
        ("ARMWISE_SEED", "7", lambda c: c.seed == 7),
        ("ARMWISE_MODELS__0__NAME", "tiny", lambda c: c.models[0].name == "tiny"),
        ("ARMWISE_POLICY", "squarecb", lambda c: c.policy_settings()["name"] == "squarecb"),
        (
            "ARMWISE_OBJECTIVE__MAX_QUALITY__SPEND_USD_PER_REQUEST",
            "0.001",
            lambda c: c.objective.record().spend_usd_per_request == 1e-3,
        ),
        ("ARMWISE_OBJECTIVE", "{tradeoff: {cost_weight: 0.5}}", lambda c: c.objective.record().cost_weight == 0.5),
        ("ARMWISE_DATA", "/somewhere", lambda c: True),
    ],
)
def test_the_environment_overrides_the_file(name: str, value: str, read: Any) -> None:
    before = copy.deepcopy(GOOD)
    assert read(parse_config(GOOD, env={**KEYS, name: value}))
    assert before == GOOD  # and leaves what it was given alone


@pytest.mark.parametrize("log", ["a.duckdb", None])
def test_the_short_form_of_the_log_can_be_overridden_too(log: str | None) -> None:
    config = parse_config({**GOOD, "log": log}, env={**KEYS, "ARMWISE_LOG__SNAPSHOT_EVERY": "5"})
    assert (config.log.path, config.log.snapshot_every) == (log, 5)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ARMWISE_SEDE", "1", "ARMWISE_SEDE: unknown setting 'sede'; did you mean 'seed'"),
        ("ARMWISE_MODELS__9__NAME", "x", "ARMWISE_MODELS__9__NAME: no such place in the file"),
        ("ARMWISE_MODELS__X__NAME", "x", "ARMWISE_MODELS__X__NAME: no such place in the file"),
        ("ARMWISE_SEED__DEEP", "1", "seed.*int"),
        ("ARMWISE_MODELS__0__NAME__DEEP", "1", "'name' holds 'small', which has no setting 'deep' inside"),
        ("ARMWISE_SEED", "{", "ARMWISE_SEED: not valid YAML"),
    ],
)
def test_an_override_that_does_not_fit_names_its_variable(name: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_config(GOOD, env={**KEYS, name: value})


def test_keys_never_reach_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(changed("models.0.nam", "x"), env=KEYS)
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("models.0.api_key_env", "sk-very-secret"),
        ("models.0.api_key", "sk-very-secret"),
        ("gateway.admin_keys", "sk-very-secret"),
        ("gateway.admin_keys", ["sk-very-secret"]),
        ("gateway.tenants", [{"name": "t", "keys": "sk-very-secret"}]),
        ("gateway.tenants", [{"name": "t", "keys": {"sk-very-secret": 1}}]),
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(path: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="key") as caught:
        parse_config(changed(path, value), env=KEYS)
    assert "very-secret" not in str(caught.value)


def test_aliases_stand_for_models_routes_and_all() -> None:
    aliases = {"gpt-4": "armwise/auto", "gpt-5": "auto", "old": "small", "coder": "armwise/code"}
    data = changed("gateway", {"aliases": aliases}) | {"routes": {"code": {"arms": ["large"]}}}
    assert parse_config(data, env=KEYS).gateway.aliases == aliases


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"models: [", "not valid YAML"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"- a\n- b\n", "a config is a mapping with at least 'models', got list"),
        (b"", "a config is a mapping with at least 'models', got NoneType"),
        (b"seed: 1\n", "models: is missing"),
    ],
)
def test_a_file_that_is_no_config(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        load_config(path, env={})
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: no such file"):
        load_config(tmp_path / "none.yaml", env={})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, env={})


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("models:\n  - {name: a, input_usd_per_mtok: 1, output_usd_per_mtok: 2}\nlog: null\n")
    config = load_config(path, env={})
    assert isinstance(config, RouterConfig)
    assert config.log.path is None


def test_missing_keys_say_whose_they_are() -> None:
    config = parse_config(
        {
            "models": [
                {"name": "gpt-4o", "api_key_env": "A_MODEL"},
                {"name": "gpt-4o-mini", "api_key_env": "THERE"},
                {"name": "off", "api_key_env": "UNUSED", "enabled": False},
            ],
            "judging": {
                "judges": [{"name": "j", "kind": "pointwise", "model": {"name": "gpt-4o", "api_key_env": "A_JUDGE"}}]
            },
            "gateway": {
                "admin_keys": ["env:AN_ADMIN"],
                "tenants": [{"name": "acme", "keys": ["env:A_TENANT", "env:THERE"]}],
            },
        },
        needs_keys=False,
    )
    found = missing_keys(config, {"THERE": "x"})
    assert [(key.owner, key.where, key.variable) for key in found] == [
        ("model", "models[0].api_key_env", "A_MODEL"),
        ("judge", "judging.judges[0].model.api_key_env", "A_JUDGE"),
        ("tenant", "gateway.tenants[0].keys[0]", "A_TENANT"),
        ("admin", "gateway.admin_keys[0]", "AN_ADMIN"),
    ]
    assert str(found[3]) == "gateway.admin_keys[0]: the environment has no AN_ADMIN"
