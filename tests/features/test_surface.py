import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armwise.contracts import Request
from armwise.errors import BadInput
from armwise.features import Surface, Transcript
from armwise.features.surface import COUNT_SCALE, MARK_SCALE, SURFACE_NAMES


def look(text="", **more):
    request = Request.from_text(text, **more)
    return Surface.of(request, Transcript.of(request))


@pytest.mark.parametrize(
    ("mark", "yes", "no"),
    [
        ("code", "def f(x):\n    return x == 1\nprint(f(2))", "Tell me about the sea and the wind."),
        ("maths", r"Evaluate \int x^2 dx and solve 3x + 2 = 8", "Tell me about the sea and the wind."),
        ("digits", "12 34 56 78", "no numbers here"),
        ("question", "Where is it?", "Go there."),
        ("choices", "Which?\nA. one\nB. two\nC. three", "Which one? A or B"),
        ("lines", "a\nb\nc", "abc"),
        ("structured", "Answer as JSON", "Answer"),
        ("brief", "Answer yes or no", "Answer"),
        ("long", "Explain in detail", "Name it"),
        ("foreign", "Wie ist das Wetter und was soll ich mit der Zeit machen", "How is the weather and what is it"),
        ("cjk", "把下面的句子翻译成英文", "abc"),
        ("other_script", "Переведи это", "abc"),
    ],
)
def test_marks(mark, yes, no):
    assert getattr(look(yes), mark) > 0.0
    assert getattr(look(no), mark) == 0.0


def test_response_format_and_tools():
    surface = look("x", response_format={"type": "json_schema"}, tools=[{}, {}])
    assert (surface.structured, surface.schema, surface.tools, surface.tool_history) == (1.0, 1.0, 2, 0.0)
    assert look("x", response_format={"type": "text"}).structured == 0.0
    with pytest.raises(BadInput, match="response_format must be an object or null, got str"):
        look("x", response_format="json")


def test_vector_by_hand():
    vector = Surface(characters=402, turns=4, tools=2, code=1.0).vector()
    by_name = dict(zip(SURFACE_NAMES, vector, strict=True))
    z = (np.log1p(402) - 6.0) / 0.9
    assert by_name["intercept"] == 1.0
    assert by_name["log_length"] == pytest.approx(z)
    assert by_name["log_length_squared"] == pytest.approx(z * z)
    assert by_name["turns"] == by_name["tools"] == pytest.approx(MARK_SCALE * 0.5)
    assert by_name["code"] == MARK_SCALE


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(), max_size=300))
def test_marks_stay_between_zero_and_one_for_every_text(text):
    surface = look(text)
    assert all(0.0 <= value <= 1.0 for value in surface[3:])
    assert np.abs(surface.vector()).max() <= 3.0


def test_extremes():
    assert np.abs(Surface(characters=10**12, turns=10**9, tools=10**6).vector()).max() <= 3.0
    assert np.isfinite(Surface().vector()).all()


def test_counts_of_what_makes_a_request_hard():
    short = look("Tom has 3 apples. He eats one. How many are left?")
    assert short.numbers == pytest.approx(np.log1p(2) / 4)  # 3, one
    assert short.sentences == pytest.approx(np.log1p(3) / 4)
    assert short.variety == 1.0
    assert look("the cat and the dog and the bird").variety == pytest.approx(5 / 8)
    assert look("1,250.75 and 3.5").numbers == look("a hundred and half").numbers == pytest.approx(np.log1p(2) / 4)
    assert look("x^2 + y = {3}").symbols == pytest.approx(np.log1p(5) / 4)
    assert look("今天天气很好。明天呢？").sentences == pytest.approx(np.log1p(2) / 4)
    assert look("7. " * 1000).numbers == 1.0
    by_name = dict(zip(SURFACE_NAMES, short.vector(), strict=True))
    assert by_name["numbers"] == pytest.approx(COUNT_SCALE * short.numbers)
