"""Server-sent events: whole however the bytes are cut, as the standard says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armwise.providers.errors import BadResponse
from armwise.providers.sse import EventDecoder, ServerSentEvent


def decode(*parts: bytes) -> list[ServerSentEvent]:
    decoder = EventDecoder()
    return [event for part in parts for event in decoder.feed(part)]


def test_fields_comments_and_names() -> None:
    raw = b"\xef\xbb\xbf: hello\nevent: ping\nid: 7\nretry: 3\ndata: a\ndata:b\ndata\n\n\n\nevent: lost\n\ndata: c\n\n"
    assert decode(raw) == [ServerSentEvent("ping", "a\nb\n"), ServerSentEvent("message", "c")]


def test_an_unfinished_event_is_not_given() -> None:
    assert decode(b"data: a\n\ndata: b\n") == [ServerSentEvent("message", "a")]


lines = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), min_size=1, max_size=12)


@given(
    data=st.lists(lines, min_size=1, max_size=5),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 200), max_size=12),
)
def test_odd_cuts_make_no_difference(data: list[str], newline: str, cuts: list[int]) -> None:
    raw = "".join(f": c{newline}{newline}data: {text}{newline}{newline}" for text in data).encode()
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    parts = [raw[a:b] for a, b in pairwise(places)]
    assert [event.data for event in decode(*parts)] == data


def test_bytes_that_are_not_utf8() -> None:
    with pytest.raises(BadResponse, match="UTF-8"):
        decode(b"data: \xff\xfe\n\n")


def test_an_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("armwise.providers.sse._LARGEST_EVENT", 1000)
    with pytest.raises(BadResponse, match="a single event"):
        decode(*[b"data: 12345"] * 200)
