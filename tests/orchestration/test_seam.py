"""Where one stream goes on in another: over all ways to cut and to chunk, nothing comes twice and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armwise.orchestration.seam import Continued, Repeated, Seam, Unlike
from armwise.providers.accumulate import ChatAccumulator

Json = dict[str, Any]


def chunk(delta: Json, finish: str | None = None) -> Json:
    return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def pieces(text: str, sizes: list[int]) -> list[str]:
    out: list[str] = []
    at = 0
    for size in sizes:
        out.append(text[at : at + size])
        at += size
    return [piece for piece in [*out, text[at:]] if piece]


def texts(text: str, sizes: list[int]) -> list[Json]:
    return [chunk({"content": piece}) for piece in pieces(text, sizes)] + [chunk({}, "stop")]


def call(name: str, arguments: str, sizes: list[int], *, at: int = 0, key: str = "call_1") -> list[Json]:
    head = {"index": at, "id": key, "type": "function", "function": {"name": name, "arguments": ""}}
    parts = [{"index": at, "function": {"arguments": piece}} for piece in pieces(arguments, sizes)]
    return [chunk({"tool_calls": [part]}) for part in (head, *parts)]


def joined(*chunks: Json) -> Json:
    whole = ChatAccumulator()
    for one in chunks:
        whole.add(one)
    choice: Json = whole.answer()["choices"][0]
    return choice


def through(seam: Seam, chunks: list[Json]) -> list[Json]:
    return [new for one in chunks for new in seam.feed(one)]


SIZES = st.lists(st.integers(1, 9), max_size=30)
TEXT = st.text(st.sampled_from("ab \nñ漢😀"), min_size=1, max_size=60)


@given(TEXT, st.data(), SIZES, SIZES)
def test_an_answer_said_again_is_whole(text: str, data: st.DataObject, one: list[int], other: list[int]) -> None:
    cut = data.draw(st.integers(1, len(text)))
    before = texts(text[:cut], one)[:-1]
    after = through(Repeated([joined(*before)]), texts(text, other))
    assert joined(*before, *after)["message"]["content"] == text
    assert joined(*before, *after)["finish_reason"] == "stop"


@given(TEXT, TEXT, SIZES)
def test_another_answer_is_told_from_the_same(text: str, other: str, sizes: list[int]) -> None:
    seam = Repeated([{"index": 0, "message": {"content": text}}])
    if other.startswith(text):
        assert joined(*through(seam, texts(other, sizes)))["message"]["content"] == (other[len(text) :] or None)
    else:
        with pytest.raises(Unlike):
            through(seam, texts(other, sizes))


def choices_of(*chunks: Json) -> list[Json]:
    whole = ChatAccumulator()
    for one in chunks:
        whole.add(one)
    choices: list[Json] = whole.answer()["choices"]
    return choices


@given(st.lists(TEXT, min_size=2, max_size=3), st.data(), SIZES)
def test_several_choices_said_again_are_whole_and_end_once(
    said: list[str], data: st.DataObject, sizes: list[int]
) -> None:
    """Whatever way the choices take turns, and wherever the first stream broke."""

    def stream() -> list[Json]:
        waiting = [
            [{**one, "choices": [{**one["choices"][0], "index": at}]} for one in texts(text, sizes)]
            for at, text in enumerate(said)
        ]
        out: list[Json] = []
        while any(waiting):
            out.append(data.draw(st.sampled_from([rest for rest in waiting if rest])).pop(0))
        return out

    before = stream()
    before = before[: data.draw(st.integers(1, len(before)))]
    after = through(Repeated(choices_of(*before)), stream())
    assert [choice["message"]["content"] for choice in choices_of(*before, *after)] == said
    ends = [c["index"] for one in (*before, *after) for c in one["choices"] if c["finish_reason"] is not None]
    assert sorted(ends) == list(range(len(said)))


def test_a_choice_that_has_ended_may_not_say_more() -> None:
    seam = Repeated([joined(*texts("so it is", []))])
    with pytest.raises(Unlike):
        through(seam, texts("so it is not", []))


@given(st.data(), SIZES, SIZES)
def test_half_a_tool_call_said_again_is_whole(data: st.DataObject, one: list[int], other: list[int]) -> None:
    calls = [*call("weather", '{"city": "Lima"}', one), *call("time", '{"zone": "PET"}', one, at=1, key="call_2")]
    cut = data.draw(st.integers(1, len(calls)))
    again = [
        *call("weather", '{"city": "Lima"}', other, key="new"),
        *call("time", '{"zone": "PET"}', other, at=1, key="n2"),
        chunk({}, "tool_calls"),
    ]
    before = [chunk({"content": "I look. "}), *calls[:cut]]
    after = through(Repeated([joined(*before)]), [chunk({"content": "I look. "}), *again])
    message = joined(*before, *after)["message"]
    assert message["content"] == "I look. "
    assert [c["function"] for c in message["tool_calls"]] == [
        {"name": "weather", "arguments": '{"city": "Lima"}'},
        {"name": "time", "arguments": '{"zone": "PET"}'},
    ]
    assert message["tool_calls"][0]["id"] == "call_1"  # what the client has been told stands


@pytest.mark.parametrize(
    "again",
    [
        call("weather", '{"city": "Rome"}', [3]),
        call("time", '{"city": "Lima"}', [3]),
        call("weather", '{"ci', [3]),  # shorter than what came
        [chunk({"content": "Lima is sunny."})],
    ],
)
def test_another_tool_call_is_not_patched_onto_half_of_one(again: list[Json]) -> None:
    seam = Repeated([joined(*call("weather", '{"city": "Li', [2]))])
    with pytest.raises(Unlike):
        through(seam, [*again, chunk({}, "tool_calls")])


@given(TEXT, SIZES)
def test_a_continuation_is_passed_on(rest: str, sizes: list[int]) -> None:
    after = through(Continued("ABCDEFGHIJKLMNOP"), texts(rest, sizes))
    assert joined(*after)["message"]["content"] == rest


@given(st.integers(12, 16), SIZES)
def test_a_continuation_that_repeats_the_end_does_not_say_it_twice(overlap: int, sizes: list[int]) -> None:
    said, rest = "abcdefghijklmnop", "QRSTUVW"
    after = through(Continued(said), texts(said[-overlap:] + rest, sizes))
    assert joined(*after)["message"]["content"] == rest


def test_white_space_that_was_not_shown_is_not_said_twice() -> None:
    for rest in ("\n\nB", "B"):
        after = through(Continued("A long answer.\n\n", "\n\n"), texts(rest, [1, 1]))
        assert joined(*after)["message"]["content"] == "B"


def test_reasoning_of_the_new_stream_is_left_out() -> None:
    chunks = [chunk({"role": "assistant", "reasoning_content": "hm"}), *texts("abcdef", [2])]
    assert joined(*through(Repeated([{"index": 0, "message": {"content": "abc"}}]), chunks))["message"] == {
        "role": "assistant",
        "content": "def",
    }
