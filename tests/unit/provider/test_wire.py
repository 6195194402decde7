"""Request bodies byte for byte, and the reading of the document's own samples and of everything that they are not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from sceneshift.provider.wire import item_states_of, parse_envelope, query_body, result_key_of, submit_body
from tests import provider_document as document
from tests.unit.provider.recording import ITEM, RESULT_KEY


def test_submit_body_has_the_documents_order() -> None:
    """All nine fields are sent, in the order in which the document has them."""
    assert list(json.loads(submit_body(ITEM))["data"]["task_list"][0]) == list(document.ITEM)


def test_absent_seed_is_left_out() -> None:
    """Without a seed the field is absent, not null; everything else is still named."""
    fields = json.loads(submit_body(replace(ITEM, seed=None)))["data"]["task_list"][0]
    assert "seed" not in fields
    assert len(fields) == 8


def test_body_is_the_same_after_a_round_trip_of_the_numbers() -> None:
    """A whole float that came back from storage as an integer gives the same bytes, hence the same request hash."""
    assert submit_body(replace(ITEM, guidance_scale=7, strength=1)) == submit_body(
        replace(ITEM, guidance_scale=7.0, strength=1.0)
    )


def test_body_is_ascii_and_keeps_every_character() -> None:
    """A Chinese prompt travels as ASCII escapes and arrives whole."""
    body = submit_body(replace(ITEM, positive_prompt="蓝天白云 🌤"))
    assert body.isascii()
    assert json.loads(body)["data"]["task_list"][0]["positive_prompt"] == "蓝天白云 🌤"


def test_not_a_number_is_not_sent() -> None:
    """A number that JSON does not have raises before anything is sent."""
    with pytest.raises(ValueError, match="JSON compliant"):
        submit_body(replace(ITEM, guidance_scale=math.nan))


def test_query_body_is_the_same_for_the_same_key() -> None:
    """The question is the key inside `data`, without a superfluous byte."""
    assert query_body("fdfd") == json.dumps(document.QUERY_REQUEST, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html><body>502 Bad Gateway</body></html>",
        b"null",
        b"[]",
        b'"ok"',
        b"7",
        b'{"success": true',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"code": ' + b"9" * 5000 + b"}",
        b'{"success": true, "success": false}',
        b'{"data": {"result_key": "a", "result_key": "b"}}',
    ],
)
def test_what_is_not_the_providers_json_gives_none(body: bytes) -> None:
    """HTML, nothing, other JSON, broken JSON, endless nesting and contradictions are all just unreadable."""
    assert parse_envelope(body) is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, "0"),
        ("0", "0"),
        (0.0, "0"),
        ("00", "0"),
        (23500004, "23500004"),
        (" 23500004 ", "23500004"),
        ("E_OTHER", "E_OTHER"),
        (True, None),
        (None, None),
        ([], None),
        ({}, None),
        (1.5, None),
        ("", None),
    ],
)
def test_code_as_integer_or_string(code: object, expected: str | None) -> None:
    """The code is read alike as an integer and as text, and is absent when it is neither."""
    envelope = parse_envelope(json.dumps({"code": code}).encode())
    assert envelope is not None
    assert envelope.code == expected


@pytest.mark.parametrize(
    ("fields", "failed"),
    [
        ({"success": True, "code": 23500000}, False),
        ({"success": False, "code": 0}, True),
        ({"success": "false"}, True),
        ({"success": "TRUE"}, False),
        ({"success": 0}, True),
        ({"code": 0}, False),
        ({"code": 23500000}, False),
        ({"code": "23500004"}, True),
        ({"success": [], "code": None}, False),
        ({}, False),
    ],
)
def test_the_flag_outranks_the_code(fields: dict[str, Any], failed: bool) -> None:
    """`success` decides, in any spelling; the code is asked only where it is missing."""
    envelope = parse_envelope(json.dumps(fields).encode())
    assert envelope is not None
    assert envelope.says_failed is failed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings(encoding: str) -> None:
    """A byte-order mark or a wider encoding does not hide the answer."""
    envelope = parse_envelope(json.dumps({"success": True, "data": {"result_key": RESULT_KEY}}).encode(encoding))
    assert envelope is not None
    assert result_key_of(envelope.data) == RESULT_KEY


def test_a_wrong_charset_is_told() -> None:
    """The fields can be read, and it is known that not every byte could."""
    envelope = parse_envelope(b'{"success":false,"message":"' + "成功".encode("gbk") + b'","code":"23500013"}')
    assert envelope is not None
    assert (envelope.code, envelope.is_damaged) == ("23500013", True)
    whole = parse_envelope('{"message":"成功"}'.encode())
    assert whole is not None
    assert not whole.is_damaged


def test_harmless_duplicates_are_tolerated() -> None:
    """A field given twice is no contradiction when both agree, or when nothing depends on it."""
    envelope = parse_envelope(b'{"success":true,"success":true,"severity":"a","severity":"b"}')
    assert envelope is not None
    assert envelope.success is True


@pytest.mark.parametrize(
    "key",
    [None, "", "  ", 7, [], {}, "a b", "a\nb", "\ud800", "x" * 257, "null", "None", "UNDEFINED", "true", "False",
     "<br>", "…", "abc\ufffddef", "клю", 'a"b', "a?b"],
)  # fmt: skip
def test_unusable_result_keys(key: object) -> None:
    """What is not a word of bounded length in plain letters, or is a program's word for nothing, is not a key."""
    assert result_key_of({"result_key": key}) is None


@pytest.mark.parametrize("key", [RESULT_KEY, "6438DD42-1EC3", "a_b.c:d=e+f/g==", "x" * 256, "0", "nullable"])
def test_usable_result_keys(key: str) -> None:
    """Everything that identifiers are made of, base64 included."""
    assert result_key_of({"result_key": f" {key}\n"}) == key


def test_only_absolute_http_urls_are_results() -> None:
    """Everything in `results` that cannot be fetched over http(s) is left out; the order is kept."""
    results = [
        "https://cdn.test/b.png?sign=1",
        7,
        None,
        "",
        "/relative.png",
        "ftp://cdn.test/a.png",
        "file:///etc/passwd",
        "https://",
        "https://[broken",
        "https://cdn.test/a b.png",
        "https://cdn.test/" + "a" * 9000,
        "HTTP://cdn.test/a.png",
    ]
    [item] = item_states_of({"task_list": [{"status": "SUCCESS", "results": results}]})
    assert item.urls == ("https://cdn.test/b.png?sign=1", "HTTP://cdn.test/a.png")


@pytest.mark.parametrize("listed", [None, {}, "x", 3, [None], [{}, "x"]])
def test_task_list_of_a_wrong_shape_has_no_items(listed: object) -> None:
    """A list that is no list of objects is as good as none."""
    assert item_states_of({"task_list": listed}) == ()
