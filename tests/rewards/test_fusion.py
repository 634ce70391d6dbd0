"""What sources are found to be worth, against the truth that made their reports."""

from __future__ import annotations

import numpy as np
import pytest

from armwise.contracts import SourceChange
from armwise.rewards import ESTIMATED, KINDS, Opinion, RewardRules, SourceModel, Standing, fuse

DECLARED = KINDS["judge_score"].variance


def said(source: str, reported: float, declared: float = DECLARED, weight: float = 1.0) -> Opinion:
    return Opinion(source, reported, declared, weight, reported, declared)


def taught(truth: dict[str, tuple[float, float]], rounds: int, seed: int = 0) -> SourceModel:
    """A model that heard all sources on every decision; source -> (bias, noise)."""
    rng = np.random.default_rng(seed)
    model = SourceModel()
    for quality in rng.random(rounds):
        reports = [said(name, quality + bias + noise * rng.normal()) for name, (bias, noise) in truth.items()]
        model.learn(reports, [])
    return model


def test_three_sources_give_every_noise_and_the_biases_between_them() -> None:
    truth = {"a": (0.0, 0.05), "b": (0.12, 0.2), "c": (-0.06, 0.4)}
    found = taught(truth, 4_000).estimate()
    for name, (_, noise) in truth.items():
        assert found[name].noise == pytest.approx(noise, rel=0.15, abs=0.03)
    middle = np.mean([bias for bias, _ in truth.values()])
    for name, (bias, _) in truth.items():
        assert found[name].bias == pytest.approx(bias - middle, abs=0.03)  # what is common to all cannot be seen


def test_an_exact_source_settles_the_others() -> None:
    rng = np.random.default_rng(3)
    model = SourceModel()
    for quality in rng.random(3_000):
        reports = [said("app", quality, 0.0)]
        if rng.random() < 0.3:
            reports.append(said("judge", quality + 0.15 + 0.1 * rng.normal()))
        model.learn(reports, [])
    found = model.estimate()
    assert found["app"] == (
        pytest.approx(0.0, abs=1e-3),
        0.0,
        pytest.approx(1.0, abs=1e-6),
        pytest.approx(0.0, abs=1e-3),
    )
    assert found["judge"].bias == pytest.approx(0.15, abs=0.01)
    assert found["judge"].noise == pytest.approx(0.1, rel=0.15)


def judged(
    lines: dict[str, tuple[float, float, float]], rounds: int, *, seed: int = 0, arms: int = 8
) -> tuple[list[str], np.ndarray, list[list[Opinion]]]:
    """Arms, qualities, and what sources say that report intercept + slope x quality + noise."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(arms, size=rounds)
    quality = rng.uniform(0.2, 0.9, arms)[arm] + 0.2 * rng.normal(size=rounds)
    opinions = [
        [said(name, at + slope * q + noise * rng.normal()) for name, (at, slope, noise) in lines.items()]
        for q in quality
    ]
    return [f"arm {k}" for k in arm], quality, opinions


def fused_by(model: SourceModel, said_of: list[Opinion]) -> tuple[float, float]:
    found = model.estimate()
    read = [
        one._replace(
            quality=found[one.source].slope * one.reported + found[one.source].offset,
            variance=found[one.source].noise ** 2,
        )
        for one in said_of
    ]
    weights = [1.0 / one.variance for one in read]
    return float(np.average([one.quality for one in read], weights=weights)), sum(weights) ** -0.5


def test_a_judge_that_compresses_the_scale_is_not_taken_for_a_precise_or_a_noisy_one() -> None:
    lines = {"narrow": (0.2, 0.5, 0.05), "wide": (0.0, 1.0, 0.3)}
    arms, quality, opinions = judged(lines, 3_000)
    model = SourceModel()
    for arm, said_of in zip(arms[:1_500], opinions[:1_500], strict=True):
        model.learn(said_of, [], arm=arm)
    found = model.estimate()
    assert found["narrow"].slope / found["wide"].slope == pytest.approx(2.0, rel=0.2)
    estimates, deviations = zip(*(fused_by(model, said_of) for said_of in opinions[1_500:]), strict=True)
    reports = {name: [said_of[k].reported for said_of in opinions[1_500:]] for k, name in enumerate(lines)}
    reports["mean"] = [float(np.mean([one.reported for one in said_of])) for said_of in opinions[1_500:]]
    r = {name: np.corrcoef(values, quality[1_500:])[0, 1] for name, values in {**reports, "fused": estimates}.items()}
    assert max(r, key=lambda name: r[name]) == "fused"
    scale, at = np.polyfit(quality[1_500:], estimates, 1)  # what is common to both cannot be known
    error = np.std(np.array(estimates) - scale * quality[1_500:] - at)
    assert error == pytest.approx(deviations[0], rel=0.25)


def test_what_is_exact_or_was_set_by_anchors_gives_the_scale() -> None:
    lines = {"a": (0.2, 0.5, 0.1), "b": (0.0, 1.0, 0.2)}
    arms, _, opinions = judged(lines, 2_000)
    set_by_anchors, beside_exact = SourceModel(), SourceModel()
    set_by_anchors.changed(SourceChange(source="a", slope=2.0, offset=-0.4, reason="anchors", at=1.0))
    for arm, said_of in zip(arms, opinions, strict=True):
        set_by_anchors.learn(said_of, [], arm=arm)
        beside_exact.learn([said_of[0], said_of[1]._replace(declared=0.0)], [], arm=arm)
    assert set_by_anchors.estimate()["a"].slope == pytest.approx(2.0, rel=0.01)
    assert set_by_anchors.estimate()["b"].slope == pytest.approx(1.0, rel=0.2)
    assert beside_exact.estimate()["b"].slope == pytest.approx(1.0, abs=1e-6)
    assert beside_exact.estimate()["a"].slope == pytest.approx(2.0, rel=0.2)


def test_equal_scales_are_left_as_they_are_and_few_arms_say_nothing() -> None:
    for arms, lines in ((8, {"a": (0.0, 1.0, 0.2), "b": (0.0, 1.0, 0.2)}), (2, {"a": (0, 0.5, 0.1), "b": (0, 1, 0.1)})):
        names, _, opinions = judged(lines, 1_000, arms=arms)
        model = SourceModel()
        for arm, said_of in zip(names, opinions, strict=True):
            model.learn(said_of, [], arm=arm)
        assert model.estimate()["a"].slope == pytest.approx(1.0, abs=0.07)


def test_the_scale_is_left_alone_where_the_rules_say_so() -> None:
    arms, _, opinions = judged({"a": (0.2, 0.5, 0.1), "b": (0.0, 1.0, 0.1)}, 1_000)
    model = SourceModel(RewardRules(scale_spread=0.0))
    for arm, said_of in zip(arms, opinions, strict=True):
        model.learn(said_of, [], arm=arm)
    assert model.estimate()["a"].slope == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_a_source_that_was_set_to_be_read_backwards_is_left_so(slope: float) -> None:
    arms, _, opinions = judged({"a": (1.0, -1.0, 0.1), "b": (0.0, 1.0, 0.1), "c": (0.1, 1.0, 0.1)}, 600)
    model, standing = SourceModel(), Standing()
    change = SourceChange(source="a", slope=slope, offset=1.0, reason="by hand", at=0.0)
    model.changed(change)
    standing.add(change)
    for arm, said_of in zip(arms, opinions, strict=True):
        model.learn(said_of, [], arm=arm)
    assert {one.source for one in model.propose(standing, at=1.0)} == {"b", "c"}


def test_clients_are_not_stretched() -> None:
    arms, _, opinions = judged({"user:a": (0.2, 0.5, 0.1), "judge:b": (0.0, 1.0, 0.1)}, 1_000)
    model = SourceModel()
    for arm, said_of in zip(arms, opinions, strict=True):
        model.learn(said_of, [], arm=arm)
    assert all(change.slope == 1.0 for change in model.propose(Standing(), at=1.0))


def test_few_overlaps_leave_a_source_nearly_as_declared() -> None:
    found = taught({"a": (0.3, 0.01), "b": (-0.3, 0.01)}, 2).estimate()
    assert found["a"].noise == pytest.approx(DECLARED**0.5, rel=0.2)
    assert abs(found["a"].bias) < 0.2
    assert SourceModel().estimate() == {}


def test_what_is_revised_leaves_no_trace() -> None:
    rng = np.random.default_rng(1)
    first, second = SourceModel(), SourceModel()
    for quality in rng.random(50):
        right = [said("a", quality), said("b", quality + 0.1)]
        wrong = [said("a", quality), said("b", 0.0)]
        first.learn(wrong, [])
        first.learn(right, wrong)
        second.learn(right, [])
    for one, other in zip(first.estimate().values(), second.estimate().values(), strict=True):
        assert one == pytest.approx(other, abs=1e-9)


def test_fusion_of_what_was_estimated_beats_each_source_and_the_plain_mean() -> None:
    truth = {"a": (0.1, 0.1), "b": (-0.1, 0.3), "c": (0.0, 0.15)}
    model = taught(truth, 1_000)
    found = model.estimate()
    rng = np.random.default_rng(9)
    errors: dict[str, list[float]] = {name: [] for name in (*truth, "mean", "fused")}
    for quality in rng.uniform(0.3, 0.7, 2_000):
        reports = {name: quality + bias + noise * rng.normal() for name, (bias, noise) in truth.items()}
        opinions = [
            Opinion(name, value - found[name].bias, found[name].noise ** 2, 1.0, value, DECLARED)
            for name, value in reports.items()
        ]
        for name, value in {**reports, "mean": np.mean(list(reports.values())), "fused": fuse(opinions)[0]}.items():
            assert value is not None
            errors[name].append((value - quality) ** 2)
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    assert min(means, key=lambda name: means[name]) == "fused"
    deviation = fuse(opinions)[1]
    assert means["fused"] ** 0.5 == pytest.approx(deviation, rel=0.15)  # it knows how sure it is


def test_a_proposal_is_made_when_it_is_due_and_not_again_while_it_holds() -> None:
    model, standing = taught({"a": (0.2, 0.1), "b": (0.0, 0.1)}, 600), Standing()
    assert model.due
    changes = model.propose(standing, at=5.0)
    assert {change.source for change in changes} == {"a", "b"}
    assert all(change.reason == ESTIMATED and change.at == 5.0 for change in changes)
    assert not model.due
    for change in changes:
        standing.add(change)
        model.changed(change)
    assert model.propose(standing, at=6.0) == []


def test_a_source_that_may_not_train_is_left_alone_and_starts_afresh() -> None:
    model, standing = taught({"a": (0.2, 0.1), "b": (0.0, 0.1)}, 600), Standing()
    stopped = SourceChange(source="a", training=False, reason="drift", at=1.0)
    standing.add(stopped)
    model.changed(stopped)
    assert model.estimate() == {}
    assert model.propose(standing, at=2.0) == []


def test_a_recalibrated_source_is_held_where_it_was_put_until_overlaps_say_otherwise() -> None:
    model = taught({"a": (0.2, 0.1), "b": (0.0, 0.1)}, 600)
    model.changed(SourceChange(source="a", offset=-0.3, reason="anchors", at=1.0))
    model.learn([said("a", 0.8), said("b", 0.5)], [])
    model.learn([said("a", 0.9), said("b", 0.6)], [])
    assert model.estimate()["a"].bias == pytest.approx(0.3, abs=0.02)


def test_one_client_of_many_cannot_dominate() -> None:
    model = SourceModel()
    for _ in range(900):
        model.learn([said("user:loud", 0.0)], [])
    for i in range(900):
        model.learn([said(f"user:{i % 30}", 1.0)], [])
    weights = {change.source: change.weight for change in model.propose(Standing(), at=1.0)}
    assert weights == {"user:loud": pytest.approx(0.1 * 900 / (900 * 0.9))}


def test_a_client_that_always_says_the_same_is_not_taken_for_noiseless() -> None:
    rng = np.random.default_rng(0)
    model = SourceModel()
    for i in range(1_000):
        honest = said(f"user:{i % 20}", float(rng.random() < 0.8), KINDS["thumbs_up"].variance)
        model.learn([honest, said("user:liar", 0.0, KINDS["thumbs_down"].variance)], [])
    assert model.estimate()["user:liar"].bias < -0.3
    changes = {change.source: change for change in model.propose(Standing(), at=1.0)}
    liar = changes["user:liar"]
    assert liar.offset == 0.0  # what it says is not turned into praise of what it does not damn
    assert liar.noise is not None
    assert liar.noise > KINDS["thumbs_down"].variance ** 0.5
    assert liar.weight < 0.3


def test_a_few_clients_are_not_held_down_for_being_few() -> None:
    model = SourceModel()
    for i in range(600):
        model.learn([said(f"user:{i % 3}", 1.0), said("judge:a", 0.5)], [])
    assert all(change.weight == 1.0 for change in model.propose(Standing(), at=1.0))


def test_its_memory_is_bounded_and_restored_bit_for_bit() -> None:
    model = taught({"a": (0.2, 0.1), "b": (0.0, 0.1)}, 30)
    for i in range(2_100):
        model.learn([said(f"user:{i}", 0.5)], [])
    state = model.state()
    assert len(state["mass"]) == 2_000
    other = SourceModel()
    other.restore(state)
    assert other.state() == state
    assert other.propose(Standing(), 1.0) == model.propose(Standing(), 1.0)
