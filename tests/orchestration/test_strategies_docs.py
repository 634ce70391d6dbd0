"""Every example of docs/strategies.md and docs/sessions.md runs, and does what the page says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from armwise import Request, Router
from armwise.cli import app
from armwise.config import parse_config
from armwise.orchestration.fallback import REASONS
from armwise.providers.client import ProviderClient
from armwise.testing.simulator import Failures, ProviderSimulator
from armwise.testing.tasks import TOOLS, generate, score

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
SESSIONS = (ROOT / "docs" / "sessions.md").read_text(encoding="utf-8")
POOL = yaml.safe_load((ROOT / "configs" / "strategies.yaml").read_text(encoding="utf-8"))["models"]
SECTIONS = {
    title.strip(): yaml.safe_load(example)
    for title, example in re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
}


@pytest.fixture
def build(simulator: ProviderSimulator, impatient: Callable[[], ProviderClient]) -> Iterator[Callable[[str], Router]]:
    """The router that a section's example describes, over the simulated pool."""
    made = []

    def new(section: str) -> Router:
        models = [{**model, "base_url": simulator.base_url} for model in POOL]
        config = parse_config({"models": models, "log": None, "seed": 0, **SECTIONS[section]})
        made.append(Router.from_config(config, client=impatient()))
        return made[-1]

    yield new
    for router in made:
        router.close()


Build = Callable[[str], Router]


def arms(router: Router, request: Any) -> set[str]:
    return set(router.decide(request).arms)


def ask(router: Router, count: int = 12, **settings: Any) -> list[Any]:
    out = []
    for task in generate(count, seed=9, kinds=["arithmetic", "code"]):
        answer = router.complete(Request.from_text(task.prompt, **settings))
        router.observe(answer.decision.id, quality=score(task, answer.message))
        out.append(answer)
    return out


def test_the_table_names_every_strategy() -> None:
    assert set(SECTIONS) == {
        "Rule-based", "Semantic", "Embedding similarity", "Classifier", "Confidence", "Cascade", "Ensemble", "Fallback",
        "Tool-aware", "Cost-optimised", "Performance-based",
    }  # fmt: skip
    linked = set(re.findall(r"\]\(#([\w-]+)\)", PAGE))
    assert linked == {title.lower().replace(" ", "-") for title in SECTIONS}


def test_rule_based(build: Build) -> None:
    router = build("Rule-based")
    assert arms(router, "def f(x): pass") == {"middle", "large"}
    assert arms(router, Request.from_text("Hello", metadata={"plan": "free"})) == {"small"}
    assert arms(router, "Hello") == {"small", "middle", "large"}
    assert ask(router)


def test_semantic(build: Build) -> None:
    router = build("Semantic")
    assert arms(router, "my credit card was charged two times") == {"small", "middle"}
    assert arms(router, "Write a function in Python that sorts") == {"middle", "large"}
    assert router.routes() == ("armwise/auto", "armwise/billing", "armwise/code")
    answer = router.complete({"model": "armwise/billing", "messages": [{"role": "user", "content": "What is 1 + 1?"}]})
    assert set(answer.decision.arms) == {"small", "middle"}
    assert answer.decision.trade.cost_weight == 0.5


def test_embedding_similarity(build: Build) -> None:
    router = build("Embedding similarity")
    for _ in range(25):
        for text, good in (("What is 2 + 2?", "small"), ("Write a sonnet about rain", "large")):
            for arm in ("small", "middle", "large"):
                decision = router.decide(Request.from_text(text, arms={arm}))
                router.observe(decision.id, quality=float(arm == good))
    for text, good in (("What is 2 + 3?", "small"), ("Write a sonnet about snow", "large")):
        probabilities = router.decide(text).probabilities
        assert max(probabilities, key=probabilities.__getitem__) == good


def test_classifier(build: Build) -> None:
    router = build("Classifier")
    for _ in range(40):
        for text, quality in (("Hello there", 1.0), ("Prove that P is not NP: $\\forall x$", 0.0)):
            router.observe(router.decide(text).id, quality=quality)
    assert "small" in arms(router, "Hello there")
    assert "small" not in arms(router, "Prove that P is not NP: $\\forall x$")
    assert arms(router, Request.from_text("Hello there", task="code")) == {"middle", "large"}


def test_confidence(build: Build) -> None:
    router = build("Confidence")
    assert router.arms == ("small", "middle", "large", "sure@0.6", "sure@0.75", "sure@0.9")
    climbed = {}
    for arm in router.arms[3:]:
        answers = ask(router, arms={arm})
        climbed[arm] = sum(len(answer.attempts) == 2 for answer in answers)
        assert all(answer.confidence is not None for answer in answers if len(answer.attempts) == 1)
    assert climbed["sure@0.6"] < climbed["sure@0.9"]


def test_cascade(build: Build) -> None:
    answers = ask(build("Cascade"), arms={"frugal"})
    assert {answer.model for answer in answers} > {"small"}
    assert all(answer.attempts[0].model == "small" for answer in answers)


def test_ensemble(build: Build) -> None:
    router = build("Ensemble")
    assert {len(answer.attempts) for answer in ask(router, arms={"council"})} == {3}
    assert {len(answer.attempts) for answer in ask(router, arms={"careful"})} == {3, 4}


def test_fallback(build: Build, simulator: ProviderSimulator) -> None:
    router = build("Fallback")
    assert set(SECTIONS["Fallback"]["fallback"]["reasons"]) == set(REASONS)
    simulator.set_failures("small", Failures(server_error=1.0))
    simulator.set_failures("middle", Failures(refusal=1.0))
    answers = ask(router, arms={"small", "middle", "large"})
    assert {answer.model for answer in answers} <= {"large", "small", "middle"}
    assert all(answer.arm == "large" for answer in answers)
    assert any(answer.fell_back for answer in answers)


def test_tool_aware(build: Build) -> None:
    router = build("Tool-aware")
    for task in generate(40, seed=2, kinds=["tool"]):
        router.complete(Request.from_text(task.prompt, tools=TOOLS, arms={"small"}))
    sets = [arms(router, Request.from_text("Book it", tools=TOOLS)) for _ in range(10)]
    assert {"middle", "large"} in sets
    assert arms(router, "Hello") == {"small", "middle", "large"}


def test_cost_optimised(build: Build) -> None:
    router = build("Cost-optimised")
    for i in range(400):
        decision = router.decide(f"What is {i} + {i}?")
        router.observe(decision.id, quality={"small": 0.4, "middle": 0.6, "large": 1.0}[decision.arm], cost_usd={
            "small": 2e-5, "middle": 1e-4, "large": 6e-4}[decision.arm])  # fmt: skip
    assert {budget.task for budget in router.budgets()} == {None, "chat"}
    last = [router.decide(f"What is {i} + {i}?") for i in range(200)]
    spend = sum({"small": 2e-5, "middle": 1e-4, "large": 6e-4}[decision.arm] for decision in last) / len(last)
    assert 0.6e-4 < spend < 3.4e-4  # the dearest alone is 6e-4


def test_performance_based(build: Build) -> None:
    router = build("Performance-based")
    for i in range(150):
        decision = router.decide(f"Question {i}")
        router.observe(decision.id, quality=float(decision.arm == "middle"), latency_ms=500.0)
    last = [router.decide(f"Something else {i}").probabilities["middle"] for i in range(10)]
    assert min(last) > 0.6


def test_the_example_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/strategies.md", "exec"), {})
    assert capsys.readouterr().out.count("Answer: 42") >= 1


def test_the_example_of_a_session(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", SESSIONS, re.DOTALL)
    exec(compile(example, "docs/sessions.md", "exec"), {})
    shown = capsys.readouterr().out
    assert shown.startswith("True 1.0 session True\n")
    assert "the session keeps the arm that decision" in shown
    (section,) = re.findall(r"```yaml\n(.*?)```", SESSIONS, re.DOTALL)
    settings = yaml.safe_load(section)["sessions"]
    assert parse_config({"models": POOL, "sessions": settings}).sessions == parse_config({"models": POOL}).sessions


def test_the_configuration_that_ships_is_sound() -> None:
    config = parse_config(yaml.safe_load((ROOT / "configs" / "strategies.yaml").read_text(encoding="utf-8")))
    with Router.from_config(config, log=None) as router:
        assert router.arms == ("small", "middle", "large", "frugal@0.6", "frugal@0.75", "frugal@0.9", "council")
        assert router.routes() == ("armwise/auto", "armwise/code")


def test_the_doctor_shows_what_it_amounts_to() -> None:
    run = CliRunner().invoke(app, ["doctor", str(ROOT / "configs" / "strategies.yaml"), "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout.splitlines()[-1])
    assert {plan["name"]: plan["at_most"] for plan in found["plans"]} == {
        "frugal@0.6": 2,
        "frugal@0.75": 2,
        "frugal@0.9": 2,
        "council": 3,
    }
    assert found["routes"] == ["armwise/auto", "armwise/code"]
    assert found["rules"] == ["free plan", "hard ones"]
    assert found["fallback"]["max_arms"] == 3
    assert [model["name"] for model in found["models"]] == ["small", "middle", "large"]
    shown = CliRunner().invoke(app, ["doctor", str(ROOT / "configs" / "strategies.yaml")]).stdout
    for words in ("frugal@0.75", "free plan; hard ones", "armwise/code", "3 arms at most"):
        assert words in shown
