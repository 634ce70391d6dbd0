"""Prompts of graded difficulty whose answers can be checked.

A kind of task is a writer and a reader of one sort of prompt. The reader recovers the answer and the difficulty from
the text alone, so a simulated model needs no side channel to know what it is asked, and neither does a judge.

    task = make("arithmetic", difficulty=0.6, rng=random.Random(0))
    score(task, "It is 42.\\nAnswer: 42")      # 0.0 or 1.0; between for tasks with several parts
    recognise(task.prompt) == task
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from armwise.errors import BadInput, unknown
from armwise.testing.kingdoms import KINGDOMS, Kingdom


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A prompt, what it asks for, and how hard that is on a scale of [0, 1]."""

    kind: str
    prompt: str
    answer: str
    difficulty: float


class Kind(NamedTuple):
    """One sort of task."""

    write: Callable[[Random, float], str]
    """Prompt of about the difficulty asked for."""
    pattern: re.Pattern[str]
    solve: Callable[[re.Match[str]], tuple[str, float]]
    """Match of the pattern -> right answer and difficulty."""
    mistake: Callable[[str, Random], str]
    """Right answer -> a plausible wrong one."""
    chance: float = 0.0
    """How often a blind guess is right."""


# ---------------------------------------------------------------------------------------------- what people call


def make(kind: str, *, difficulty: float, rng: Random) -> Task:
    """A task of one of :data:`KINDS`.

    Raises:
        BadInput: on a kind that does not exist or a difficulty outside [0, 1].
    """
    if kind not in KINDS:
        raise BadInput(unknown("kind of task", kind, KINDS))
    if not 0.0 <= difficulty <= 1.0:
        raise BadInput(f"difficulty must be between 0 and 1, got {difficulty!r}")
    prompt = KINDS[kind].write(rng, difficulty)
    task = recognise(prompt)
    assert task is not None, prompt
    assert (task.kind, task.prompt) == (kind, prompt)
    return task


def generate(count: int, *, seed: int, kinds: Sequence[str] | None = None) -> Iterator[Task]:
    """A stream of ``count`` tasks, kinds and difficulties drawn uniformly."""
    rng = Random(seed)
    names = tuple(kinds or KINDS)
    for _ in range(count):
        yield make(rng.choice(names), difficulty=rng.random(), rng=rng)


def recognise(text: str) -> Task | None:
    """The last task that a text contains, whatever stands around it; None if there is none."""
    found: tuple[int, str, re.Match[str]] | None = None
    for name, kind in KINDS.items():
        for match in kind.pattern.finditer(text):
            if found is None or match.start() > found[0]:
                found = (match.start(), name, match)
    if found is None:
        return None
    _, name, match = found
    answer, difficulty = KINDS[name].solve(match)
    return Task(kind=name, prompt=match.group(0), answer=answer, difficulty=min(1.0, max(0.0, difficulty)))


def mistake(task: Task, rng: Random) -> str:
    """A plausible answer that scores less than one."""
    for _ in range(50):
        answer = KINDS[task.kind].mistake(task.answer, rng)
        if score(task, answer) < 1.0:
            return answer
    return "I do not know"


def score(task: Task, answer: str | Mapping[str, Any]) -> float:
    """How good an answer is, in [0, 1].

    ``answer`` is a text, or an OpenAI message (whose tool calls count for tasks that ask for a tool). Tasks with
    several parts give credit for each; all others are right or wrong.
    """
    if isinstance(answer, Mapping):
        calls = answer.get("tool_calls") or []
        answer = calls[0]["function"]["arguments"] if calls else answer.get("content") or ""
    if task.kind in ("extraction", "tool"):
        return _score_object(json.loads(task.answer), answer)
    given = final_answer(answer)
    if (wanted := _number(task.answer)) is not None and task.kind != "sorting":
        numbers = re.findall(r"-?\d[\d,]*\.?\d*", given)
        got = _number(numbers[-1]) if numbers else None
        return float(got is not None and abs(got - wanted) <= 0.005 * abs(wanted) * (task.kind == "units"))
    return float(_normal(given) == _normal(task.answer))


def final_answer(text: str) -> str:
    """What a reply settles on: the ``answer`` of a JSON object, what follows the last "Answer:", or all of it."""
    found = _object(text)
    if found is not None and "answer" in found:
        return str(found["answer"])
    return re.split(r"[Aa]nswer:\s*", text)[-1].strip()


def _score_object(wanted: Mapping[str, Any], text: str) -> float:
    got = _object(text)
    if not got:
        return 0.0
    right = sum(_normal(str(got.get(key))) == _normal(str(value)) for key, value in wanted.items())
    return right / max(len(wanted), len(got))


def _object(text: str) -> dict[str, Any] | None:
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        found = json.loads(text[start : end + 1])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _normal(text: str) -> str:
    return re.sub(r"\s*,\s*", ", ", text.strip().strip("\"'`.").casefold())


# ---------------------------------------------------------------------------------------------- numbers


def _write_arithmetic(rng: Random, difficulty: float) -> str:
    terms, digits = 2 + round(4 * difficulty), 1 + round(2 * difficulty)
    parts = [str(rng.randint(10 ** (digits - 1), 10**digits - 1))]
    for _ in range(terms - 1):
        parts += [rng.choice("+-*"), str(rng.randint(2, 10**digits - 1))]
    lead = rng.choice(("What is", "Compute", "Work out"))
    return f"{lead} {' '.join(parts)}?"


def _solve_arithmetic(match: re.Match[str]) -> tuple[str, float]:
    parts = match.group(1).split()
    sums = [int(parts[0])]
    for sign, value in zip(parts[1::2], map(int, parts[2::2]), strict=True):
        if sign == "*":
            sums[-1] *= value
        else:
            sums.append(value if sign == "+" else -value)
    digits = max(map(len, parts))
    return str(sum(sums)), (len(parts[::2]) - 2) / 8 + (digits - 1) / 4


def _wrong_number(answer: str, rng: Random) -> str:
    value = float(answer.replace(",", ""))
    wrong = rng.choice((value + rng.choice((-10, -2, -1, 1, 2, 10)), -value, value * 10))
    return f"{wrong:g}" if "." in answer else str(int(wrong))


_UNITS = {
    "kilometres": ("metres", 1000.0, 0.0),
    "kilograms": ("grams", 1000.0, 0.0),
    "hours": ("minutes", 60.0, 0.1),
    "feet": ("inches", 12.0, 0.2),
    "miles": ("metres", 1609.344, 0.5),
    "pounds": ("grams", 453.59237, 0.5),
    "gallons": ("millilitres", 3785.411784, 0.6),
    "fathoms": ("metres", 1.8288, 0.7),
    "furlongs": ("metres", 201.168, 0.7),
}


def _write_units(rng: Random, difficulty: float) -> str:
    unit = min(_UNITS, key=lambda name: abs(_UNITS[name][2] - 0.7 * difficulty) + 0.2 * rng.random())
    digits = 1 + round(3 * difficulty)
    value = rng.randint(10 ** (digits - 1) + 1, 10**digits)
    return f"{rng.choice(('Convert', 'How much is'))} {value} {unit} in {_UNITS[unit][0]}?"


def _solve_units(match: re.Match[str]) -> tuple[str, float]:
    _, factor, rarity = _UNITS[match.group(2)]
    return f"{int(match.group(1)) * factor:.10g}", rarity + (len(match.group(1)) - 1) / 10


def _write_sorting(rng: Random, difficulty: float) -> str:
    values = rng.sample(range(10, 1000), 3 + round(12 * difficulty))
    lead = rng.choice(("Sort these numbers from smallest to largest", "Put these numbers in ascending order"))
    return f"{lead}: {', '.join(map(str, values))}."


def _solve_sorting(match: re.Match[str]) -> tuple[str, float]:
    values = [int(value) for value in match.group(1).split(",")]
    return ", ".join(map(str, sorted(values))), (len(values) - 3) / 12


def _wrong_order(answer: str, rng: Random) -> str:
    values = answer.split(", ")
    at = rng.randrange(len(values) - 1)
    values[at], values[at + 1] = values[at + 1], values[at]
    return ", ".join(values)


# ---------------------------------------------------------------------------------------------- letters


_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _write_reversal(rng: Random, difficulty: float) -> str:
    word = "".join(rng.choices(_LETTERS, k=4 + round(20 * difficulty)))
    return f'{rng.choice(("Reverse the string", "Spell backwards"))} "{word}".'


def _solve_reversal(match: re.Match[str]) -> tuple[str, float]:
    return match.group(1)[::-1], (len(match.group(1)) - 4) / 20


def _wrong_letters(answer: str, rng: Random) -> str:
    at = rng.randrange(len(answer) - 1)
    return answer[:at] + answer[at + 1] + answer[at] + answer[at + 2 :]


def _write_counting(rng: Random, difficulty: float) -> str:
    word = "".join(rng.choices("aeinrst", k=5 + round(30 * difficulty)))
    return f'How many times does the letter "{rng.choice("aeinrst")}" occur in "{word}"?'


def _solve_counting(match: re.Match[str]) -> tuple[str, float]:
    return str(match.group(2).count(match.group(1))), (len(match.group(2)) - 5) / 30


# ---------------------------------------------------------------------------------------------- text and code


_PEOPLE = ("Ada Lind", "Bo Okafor", "Chen Wei", "Dana Ruiz", "Emre Kaya", "Freya Holm", "Goran Ilic", "Hana Sato")
_CITIES = ("Porto", "Lahti", "Cusco", "Hobart", "Nantes", "Accra", "Tromsø", "Osaka")
_TRADES = ("baker", "surveyor", "violinist", "welder", "botanist", "printer")
_PETS = ("a parrot", "two cats", "a tortoise", "no pets")
_FIELDS = (
    ("name", r"(?P<name>[^.]+?) is (?P<age>\d+) years old"),
    ("age", ""),
    ("city", r"\. They live in (?P<city>[^.]+)"),
    ("job", r"(?:\. They work as a (?P<job>[^.]+))?"),
    ("pets", r"(?:\. At home they have (?P<pets>[^.]+))?"),
)


def _write_extraction(rng: Random, difficulty: float) -> str:
    text = f"{rng.choice(_PEOPLE)} is {rng.randint(18, 90)} years old. They live in {rng.choice(_CITIES)}"
    if difficulty > 0.3:
        text += f". They work as a {rng.choice(_TRADES)}"
    if difficulty > 0.65:
        text += f". At home they have {rng.choice(_PETS)}"
    return f"Extract every fact as one JSON object (name, age, city, job, pets; only those given). Text: {text}."


def _solve_extraction(match: re.Match[str]) -> tuple[str, float]:
    found: dict[str, Any] = {key: value for key, value in match.groupdict().items() if value is not None}
    found["age"] = int(found["age"])
    return json.dumps(found, ensure_ascii=False), (len(found) - 3) * 0.35 + 0.1


def _wrong_object(answer: str, rng: Random) -> str:
    found = json.loads(answer)
    key = rng.choice(sorted(found))
    if rng.random() < 0.5 and len(found) > 1:
        del found[key]
    else:
        found[key] = found[key] + 1 if isinstance(found[key], int) else "unknown"
    return json.dumps(found, ensure_ascii=False)


def _write_code(rng: Random, difficulty: float) -> str:
    lines = [f"x = {rng.randint(1, 9)}"]
    for _ in range(1 + round(7 * difficulty)):
        lines.append(f"x = x {rng.choice('+-*')} {rng.randint(2, 9)}")
    return "What does this Python program print?\n```python\n" + "\n".join(lines) + "\nprint(x)\n```"


def _solve_code(match: re.Match[str]) -> tuple[str, float]:
    first, *rest = match.group(1).strip().split("\n")
    x = int(first.removeprefix("x = "))
    for line in rest:
        _, _, _, sign, value = line.split()
        x = x + int(value) if sign == "+" else x - int(value) if sign == "-" else x * int(value)
    return str(x), (len(rest) - 1) / 7


# ---------------------------------------------------------------------------------------------- knowledge


def _write_facts(rng: Random, difficulty: float) -> str:
    land, other = rng.sample(KINGDOMS, 2)
    if difficulty < 0.34:
        return f"What is the {rng.choice(('capital', 'ruler', 'river'))} of the kingdom of {land.name}?"
    if difficulty < 0.67:
        return f"Who is the ruler of the kingdom whose capital is {land.capital}?"
    return f"In the year {land.name} was founded plus {other.founded % 97} years, which year was it?"


def _solve_facts(match: re.Match[str]) -> tuple[str, float]:
    if match.group("field"):
        return str(getattr(_land(name=match.group("name")), match.group("field"))), 0.15
    if match.group("capital"):
        return _land(capital=match.group("capital")).ruler, 0.5
    return str(_land(name=match.group("born")).founded + int(match.group("plus"))), 0.85


def _land(**wanted: str) -> Kingdom:
    ((key, value),) = wanted.items()
    return next((land for land in KINGDOMS if getattr(land, key) == value), Kingdom("?", "unknown", "unknown", "?", 0))


def _wrong_fact(answer: str, rng: Random) -> str:
    if answer.isdigit():
        return _wrong_number(answer, rng)
    land = rng.choice(KINGDOMS)
    field = next((f for f in Kingdom._fields if any(str(getattr(k, f)) == answer for k in KINGDOMS)), "name")
    return str(getattr(land, field))


def _write_choice(rng: Random, difficulty: float) -> str:
    lands = rng.sample(KINGDOMS, 4)
    field = "capital" if difficulty < 0.4 else "river" if difficulty < 0.75 else "founded"
    asked = getattr(rng.choice(lands), field)
    options = "\n".join(f"{letter}) {land.name}" for letter, land in zip("ABCD", lands, strict=True))
    return f"Which kingdom belongs to the {field} {asked}? Reply with one letter.\n{options}"


def _solve_choice(match: re.Match[str]) -> tuple[str, float]:
    field, asked = match.group(1), match.group(2)
    for letter, name in zip("ABCD", match.groups()[2:], strict=True):
        if str(getattr(_land(name=name), field)) == asked:
            return letter, {"capital": 0.2, "river": 0.55, "founded": 0.9}[field]
    return "A", 1.0


# ---------------------------------------------------------------------------------------------- tools


TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": "lookup_stock",
            "description": "How many of an item a warehouse holds.",
            "parameters": {
                "type": "object",
                "properties": {
                    "item": {"type": "string"},
                    "warehouse": {"type": "integer"},
                    "colour": {"type": "string"},
                    "size": {"type": "string", "enum": ["small", "medium", "large"]},
                },
                "required": ["item", "warehouse"],
            },
        },
    },
)
"""What a task of the kind ``tool`` offers; send it as ``tools``."""

_ITEMS = ("lantern", "kettle", "rope ladder", "compass", "wool blanket", "tin whistle")
_COLOURS = ("red", "blue", "green", "brass")


def _write_tool(rng: Random, difficulty: float) -> str:
    text = f'Use the tool lookup_stock for the item "{rng.choice(_ITEMS)}" in warehouse {rng.randint(1, 40)}'
    if difficulty > 0.35:
        text += f", colour {rng.choice(_COLOURS)}"
    if difficulty > 0.7:
        text += f", size {rng.choice(('small', 'medium', 'large'))}"
    return text + "."


def _solve_tool(match: re.Match[str]) -> tuple[str, float]:
    found: dict[str, Any] = {key: value for key, value in match.groupdict().items() if value is not None}
    found["warehouse"] = int(found["warehouse"])
    return json.dumps(found), 0.1 + 0.4 * (len(found) - 2)


# ---------------------------------------------------------------------------------------------- all of them


KINDS: dict[str, Kind] = {
    "arithmetic": Kind(
        _write_arithmetic,
        re.compile(r"(?:What is|Compute|Work out) (\d+(?: [-+*] \d+)+)\?"),
        _solve_arithmetic,
        _wrong_number,
    ),
    "units": Kind(
        _write_units,
        re.compile(rf"(?:Convert|How much is) (\d+) ({'|'.join(_UNITS)}) in \w+\?"),
        _solve_units,
        _wrong_number,
    ),
    "sorting": Kind(
        _write_sorting,
        re.compile(
            r"(?:Sort these numbers from smallest to largest|Put these numbers in ascending order): (\d+(?:, \d+)+)\."
        ),
        _solve_sorting,
        _wrong_order,
    ),
    "reversal": Kind(
        _write_reversal,
        re.compile(r'(?:Reverse the string|Spell backwards) "(\w+)"\.'),
        _solve_reversal,
        _wrong_letters,
    ),
    "counting": Kind(
        _write_counting,
        re.compile(r'How many times does the letter "(\w)" occur in "(\w+)"\?'),
        _solve_counting,
        _wrong_number,
    ),
    "extraction": Kind(
        _write_extraction,
        re.compile(r"Extract every fact as one JSON object.*?Text: " + "".join(p for _, p in _FIELDS) + r"\."),
        _solve_extraction,
        _wrong_object,
    ),
    "code": Kind(
        _write_code,
        re.compile(
            r"What does this Python program print\?\n```python\n(x = \d+\n(?:x = x [-+*] \d+\n)*)print\(x\)\n```"
        ),
        _solve_code,
        _wrong_number,
    ),
    "facts": Kind(
        _write_facts,
        re.compile(
            r"What is the (?P<field>capital|ruler|river) of the kingdom of (?P<name>\w+)\?"
            r"|Who is the ruler of the kingdom whose capital is (?P<capital>[\w ]+)\?"
            r"|In the year (?P<born>\w+) was founded plus (?P<plus>\d+) years, which year was it\?"
        ),
        _solve_facts,
        _wrong_fact,
    ),
    "choice": Kind(
        _write_choice,
        re.compile(
            r"Which kingdom belongs to the (capital|river|founded) ([\w ]+)\? Reply with one letter\.\n"
            r"A\) (\w+)\nB\) (\w+)\nC\) (\w+)\nD\) (\w+)"
        ),
        _solve_choice,
        lambda answer, rng: rng.choice([letter for letter in "ABCD" if letter != answer]),
        0.25,
    ),
    "tool": Kind(
        _write_tool,
        re.compile(
            r'Use the tool lookup_stock for the item "(?P<item>[^"]+)" in warehouse (?P<warehouse>\d+)'
            r"(?:, colour (?P<colour>\w+))?(?:, size (?P<size>\w+))?\."
        ),
        _solve_tool,
        _wrong_object,
    ),
}
"""Every kind of task by name."""
