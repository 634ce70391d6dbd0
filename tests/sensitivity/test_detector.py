"""What the detector finds, what it leaves alone, and what it makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from armwise.contracts import SENSITIVITIES
from armwise.errors import BadInput
from armwise.sensitivity import Detector, texts_of

SECRET = {
    "aws": "use AKIAIOSFODNN7EXAMPLE for it",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE...",
    "github": "token ghp_" + "a1" * 18,
    "slack": "xoxb-12345-12345-abcdef",
    "model": "sk-proj-abcdefghij1234567890abcd",
    "password": "password = hunter2abc",
    "connection": "postgres://bob:s3cr3tpw@db/x",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
}
PERSONAL = {
    "email": "write to bob.smith+x@mail.example.org",
    "card": "card 4111 1111 1111 1111, please",
    "account": "IBAN GB82 WEST 1234 5698 7654 32 now",
    "phone": "call +44 20 7946 0958",
    "security number": "536-90-4399 is mine",
}
HARMLESS = (
    "What is 12345678901234567 * 3 + 555-1234?",
    "The password is required to be long, and the secret is: practise.",
    "version 1.2.3.4 of 2024-11-25 10:30:11, see https://example.org/a/very/long/path?with=query",
    "card 4111 1111 1111 1112 fails its check digit",
    "GB82 WEST 1234 5698 7654 33 does too",
    "email me @ the usual place",
    "api_key = <your key here>",
    "",
)


@pytest.mark.parametrize("text", SECRET.values(), ids=SECRET)
def test_secrets_are_restricted(text: str) -> None:
    assert Detector().level([text]) == "restricted"


@pytest.mark.parametrize("text", PERSONAL.values(), ids=PERSONAL)
def test_personal_data_are_confidential(text: str) -> None:
    assert Detector().level([text]) == "confidential"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_stays_public(text: str) -> None:
    assert Detector().level([text]) == "public"


def test_local_telephone_numbers_count_where_their_country_is_named() -> None:
    text = "ring (212) 736-5000 tonight"
    assert Detector().level([text]) == "public"
    assert Detector(phone_regions=["US"]).level([text]) == "confidential"


def test_a_finding_does_not_hold_what_was_found() -> None:
    [finding] = Detector().findings([PERSONAL["email"]])
    assert finding.kind == "email"
    assert "bob" not in repr(finding)


def test_levels_are_the_operators() -> None:
    detector = Detector(personal="internal", secrets="internal")
    assert detector.level([SECRET["aws"]]) == "internal"
    assert detector.level([SECRET["aws"]], "restricted") == "restricted"
    with pytest.raises(BadInput, match=r"sensitivity\.personal must be one of public"):
        Detector(personal="high")
    with pytest.raises(BadInput, match="country codes such as 'US'"):
        Detector(phone_regions=["usa"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(data=JSON, secret=st.sampled_from([*SECRET.values(), *PERSONAL.values()]), least=st.sampled_from(SENSITIVITIES))
def test_wherever_it_stands_it_is_found_and_nothing_is_ever_lowered(data: object, secret: str, least: str) -> None:
    detector = Detector()
    level = detector.level(texts_of({"messages": [data, {"content": [{"type": "text", "text": secret}]}]}), least)
    assert SENSITIVITIES.index(level) >= max(SENSITIVITIES.index("confidential"), SENSITIVITIES.index(least))


def test_images_are_not_read_as_text() -> None:
    assert list(texts_of({"url": "data:image/png;base64," + "A" * 10_000, "data": "B" * 5000})) == []


def test_what_is_nested_too_deep_is_still_read() -> None:
    data: object = SECRET["aws"]
    for _ in range(300):
        data = [data]
    assert Detector().level(texts_of(data)) == "restricted"
