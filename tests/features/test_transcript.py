import json

import pytest

from armwise.contracts import Request
from armwise.errors import BadInput
from armwise.features import Transcript

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def read(*messages, **more):
    return Transcript.of(Request(messages=messages, **more))


def test_plain_text():
    got = Transcript.of(Request.from_text("x" * 401))
    assert (got.characters, got.turns, got.uses_tools, got.media) == (401, 1, False, {})
    assert got.estimated_tokens == 101 + 4


def test_no_messages_and_empty_messages():
    assert read().estimated_tokens == 0
    assert Transcript.of(Request.from_text("")).excerpt == ""
    assert read({"role": "user"}).characters == 0


def test_a_conversation():
    got = read(
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "content": "42", "tool_call_id": "1"},
        {"role": "user", "content": [{"type": "text", "text": "And?"}, "now"]},
    )
    assert got.excerpt == "Be kind.\nHi\n42\nAnd?\nnow"
    assert got.turns == 2
    assert got.uses_tools
    assert got.tool_count == 0


@pytest.mark.parametrize(
    ("part", "modality"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}, "image"),
        ({"type": "input_image", "image_url": "https://example.org/a.png"}, "image"),
        ({"type": "image", "source": {"type": "base64", "data": ""}}, "image"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "audio"),
        ({"type": "video_url", "video_url": {"url": ""}}, "video"),
        ({"type": "file", "file": {"file_id": "1"}}, "file"),
        ({"type": "document", "source": {}}, "file"),
    ],
)
def test_media(part, modality):
    got = read({"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]})
    assert got.media == {modality: 1}
    assert got.characters == 13  # the data itself is no text
    assert got.estimated_tokens > 100


def test_anthropic_tool_parts():
    got = read(
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"q": "x"}}]},
        {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "found"}]}]},
    )
    assert got.uses_tools
    assert got.excerpt == "found"
    assert got.characters == len("found") + len('{"q":"x"}')


def test_tool_schemas_count():
    without, with_tools = read({"role": "user", "content": "hi"}), read({"role": "user", "content": "hi"}, tools=[TOOL])
    schema = len(json.dumps([TOOL], separators=(",", ":")))
    assert with_tools.estimated_tokens - without.estimated_tokens == pytest.approx(schema / 4, abs=1)
    assert with_tools.uses_tools
    assert with_tools.tool_count == 1


def test_scripts_of_several_bytes_take_more_tokens():
    assert Transcript.of(Request.from_text("語" * 400)).estimated_tokens == 300 + 4
    assert Transcript.of(Request.from_text("я" * 400)).estimated_tokens == 200 + 4


def test_a_megabyte_is_counted_but_not_read():
    got = Transcript.of(Request.from_text("words " * 170_000))
    assert got.estimated_tokens > 250_000
    assert len(got.excerpt) <= 1201


class Untouchable(str):
    """A text that may be measured and sliced, never copied whole."""

    __slots__ = ()

    def __getitem__(self, key):
        assert abs((key.stop or 0) - (key.start or 0)) <= 600
        return super().__getitem__(key)

    def encode(self, *args):
        raise AssertionError("read whole")

    lower = split = replace = encode


def test_reading_is_bounded():
    text = Untouchable("abc " * 250_000)
    assert len(read({"role": "user", "content": text}).excerpt) <= 1201


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\xff\xfe", r"messages\[0\]\.content must be a string, null or a list of parts, got bytes; decode"),
        (3.5, "got float"),
        ({"type": "text", "text": "x"}, "got dict"),
        ([3], r"content\[0\] must be a string or an object with a type, got int"),
        ([{"text": "x"}], r"content\[0\]\.type must be a string, got None"),
        ([{"type": ["text"]}], r"type must be a string"),
        ([{"type": "text", "text": None}], r"content\[0\]\.text must be a string, got NoneType"),
        ([{"type": "txt", "text": "x"}], "did you mean 'text'"),
        ([{"type": "tool_use", "input": {1, 2}}], r"input must be JSON"),
    ],
)
def test_malformed_content_is_refused(content, match):
    with pytest.raises(BadInput, match=match):
        read({"role": "user", "content": content})


def test_endless_nesting_is_refused():
    content = "x"
    for _ in range(5000):
        content = [{"type": "tool_result", "content": content}]
    with pytest.raises(BadInput, match="nested more than 8 deep"):
        read({"role": "user", "content": content})


def test_tools_that_are_not_json_are_refused():
    with pytest.raises(BadInput, match=r"Request\.tools must be JSON"):
        read(tools=[{"f": object()}])
    with pytest.raises(BadInput, match=r"messages\[0\]\.tool_calls must be JSON"):
        read({"role": "assistant", "content": None, "tool_calls": [object()]})
