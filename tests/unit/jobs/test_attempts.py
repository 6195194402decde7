"""What is remembered of an attempt can be shown to anybody, on any terminal."""

from __future__ import annotations

import pytest

from sceneshift.jobs.attempts import EXCERPT_BYTES, Attempt, excerpt


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"ok", "ok"),
        ("Größe — 写真".encode(), "Größe — 写真"),
        (b"a\r\nb\x1b[31mred\x00", r"a\r\nb\x1b[31mred\x00"),
        ("\u2028\u202e".encode(), r"\u2028\u202e"),
        (b"\xff\xfe", "��"),
        (b"see https://shop.example/x?token=abc&b=c now", "see https://shop.example/x now"),
        (rb'{"next":"https:\/\/shop.example\/x?sig=abc"}', r'{"next":"https:\/\/shop.example\/x"}'),
        (b"<a href='http://a.example/#frag'>", "<a href='http://a.example/'>"),
    ],
)
def test_an_answer_is_kept_as_harmless_text(body: bytes, text: str) -> None:
    """Control characters are escaped, bytes that are no text replaced, and URLs lose what may be a signature."""
    assert excerpt(body) == text


def test_only_the_beginning_is_kept() -> None:
    """A long answer is cut to its first bytes, and a query that reaches over the cut is gone as a whole."""
    assert excerpt(b"a" * 20_000) == "a" * EXCERPT_BYTES
    assert excerpt("ü".encode() * 400) == "ü" * 256
    url = b"x" * 480 + b" https://shop.example/x?secret=" + b"s" * 5_000
    assert "secret" not in excerpt(url)
    assert "sss" not in excerpt(url)


def test_an_attempt_comes_back_as_it_was() -> None:
    """It is one line of JSON, and what a later release adds to it does no harm."""
    attempt = Attempt(at=1_795_392_000.5, number=3, outcome="503", latency_ms=412, answer='say "no"\\n')
    line = attempt.to_json()
    assert "\n" not in line
    assert Attempt.from_json(line) == attempt
    assert Attempt.from_json(line[:-1] + ',"later":1}') == attempt


@pytest.mark.parametrize("line", ["", "{}", "[]", "7", '{"at":"x"}', '{"at":1,"number":null}'])
def test_what_is_no_attempt_is_refused(line: str) -> None:
    """A damaged line is one error, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"."):
        Attempt.from_json(line)
