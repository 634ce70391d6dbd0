import numpy as np
import pytest

from armwise.errors import BadInput
from armwise.features import Sketcher, TaskClassifier, sketch_256
from armwise.features.tasks import parse_exemplars, shipped_exemplars


@pytest.fixture(scope="module")
def classifier():
    return TaskClassifier.load(Sketcher.load())


def test_exemplars_are_enough_and_different():
    exemplars, _ = shipped_exemplars()
    assert len(exemplars) >= 12
    assert min(map(len, exemplars.values())) >= 20
    texts = [text for group in exemplars.values() for text in group]
    assert len(set(texts)) == len(texts)


def test_held_out_exemplars_are_told_apart_far_better_than_by_chance():
    """Ten-fold, two seeds. Chance is 0.09 with twelve tasks; the floors leave room for noise below what is measured."""
    sketches = {task: np.stack([sketch_256(text) for text in texts]) for task, texts in shipped_exemplars()[0].items()}
    right = losses = total = 0.0
    for seed in range(2):
        rng = np.random.default_rng(seed)
        folds = {task: rng.permutation(len(group)) % 10 for task, group in sketches.items()}
        for fold in range(10):
            held_in = {task: group[folds[task] != fold] for task, group in sketches.items()}
            classifier = TaskClassifier(held_in)
            for place, (task, group) in enumerate(sketches.items()):
                for sketch in group[folds[task] == fold]:
                    probabilities = classifier.probabilities(sketch)
                    right += probabilities.argmax() == place
                    losses -= np.log(probabilities[place])
                    total += 1
    assert right / total > 0.48
    assert losses / total < 1.6  # saying nothing costs log(12) = 2.48


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Please translate this letter into Spanish.", "translation"),
        ("Write a Python script that parses a log file.", "code"),
        ("What is the integral of 3x^2 + 2x?", "maths"),
        ("Summarise this article in five sentences.", "summarisation"),
        ("Write a short story about a dragon and a baker.", "writing"),
    ],
)
def test_plain_cases(classifier, text, task):
    assert classifier.tasks[int(classifier.probabilities(sketch_256(text)).argmax())] == task


def test_probabilities_sum_to_one_and_an_empty_sketch_is_uniform(classifier):
    for text in ("anything at all", "", "\ud800"):
        assert classifier.probabilities(sketch_256(text)).sum() == pytest.approx(1.0)
    assert np.ptp(classifier.probabilities(sketch_256(""))) == 0.0


def test_parse_exemplars():
    text = "# a comment\n[a]\none\n\n#include is no comment\n[b]\ntwo\n"
    assert parse_exemplars(text) == {"a": ("one", "#include is no comment"), "b": ("two",)}


@pytest.mark.parametrize(("text", "match"), [("one\n[a]", "line 1"), ("[a]\nx\n[a]", "line 3"), ("[ ]", "line 1")])
def test_malformed_exemplars_are_refused(text, match):
    with pytest.raises(BadInput, match=match):
        parse_exemplars(text)


def test_too_few_tasks_are_refused():
    with pytest.raises(BadInput, match="two tasks"):
        TaskClassifier({"one": [sketch_256("x")]})
    with pytest.raises(BadInput, match="at least one exemplar"):
        TaskClassifier({"one": [sketch_256("x")], "two": []})
