"""What the S3 client puts on the wire, and what it makes of answers that healthy servers do not give."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from storage.objects import ObjectStore, StorageRefusedError, StorageUnavailableError
from storage.opening import open_store
from storage.s3 import TRIES_MAX, S3Store, _make_client

Answer = tuple[int, dict[str, str], bytes]

TAKEN: Answer = (412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
BAD_SUM: Answer = (400, {}, b"<Error><Code>BadDigest</Code></Error>")
SLOW_DOWN: Answer = (503, {}, b"<Error><Code>SlowDown</Code></Error>")
DONE: Answer = (200, {"ETag": '"x"'}, b"")
BODY = b"\x89PNG and some more bytes"
SHA256 = hashlib.sha256(BODY).hexdigest()


class Recorder(ThreadingHTTPServer):
    """Answers the requests in turn, the last answer again and again, and remembers what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Scripted)
        self.answers: list[Answer] = [DONE]
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    def will(self, *answers: Answer) -> None:
        self.answers = list(answers)

    def sent(self, method: str, part: str) -> Sequence[dict[str, str]]:
        """The headers of such requests."""
        return [headers for verb, path, headers in self.seen if verb == method and part in path]


class Scripted(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, {n.lower(): v for n, v in self.headers.items()}))
        status, headers, body = self.server.answers[0]
        if len(self.server.answers) > 1:
            del self.server.answers[0]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815 - names of the base class

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def store(server: Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The store as the service opens it, whose server has shown that it heeds conditions and checksums."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-tests")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session")
    # No pauses between the tries: chance decides how long they are.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda _self, _context: 0.0)
    _make_client.cache_clear()
    port = server.server_address[1]
    store = open_store(f"s3://shots/shop?endpoint_url=http://127.0.0.1:{port}&region=eu-central-1")
    server.will(TAKEN, BAD_SUM)
    assert isinstance(store, S3Store)
    store.capabilities()
    server.seen.clear()
    yield store
    _make_client.cache_clear()


def put(store: ObjectStore) -> bool:
    return store.put(
        "a.png", io.BytesIO(BODY), size_bytes=len(BODY), sha256=SHA256, content_type="image/png", metadata={"sku": "x"}
    )


def test_a_put_carries_its_condition_and_its_checksum(store: ObjectStore, server: Recorder) -> None:
    """Path style, the region and the session's token in the signature, condition, SHA-256, our content type."""
    server.will(DONE)
    assert put(store)
    (headers,) = server.sent("PUT", "/shots/shop/a.png")
    assert headers["if-none-match"] == "*"
    assert base64.b64decode(headers["x-amz-checksum-sha256"]).hex() == SHA256
    assert headers["content-type"] == "image/png"
    assert headers["x-amz-security-token"] == "a-session"
    assert "/eu-central-1/s3/aws4_request" in headers["authorization"]
    assert "transfer-encoding" not in headers


def test_a_busy_server_is_asked_again(store: ObjectStore, server: Recorder) -> None:
    """Two answers 503 SlowDown and then success are one success of ours."""
    server.will(SLOW_DOWN, SLOW_DOWN, DONE)
    assert put(store)
    assert len(server.sent("PUT", "a.png")) == 3


def test_a_server_that_stays_busy_is_left_alone(store: ObjectStore, server: Recorder) -> None:
    """The tries of one call are bounded; the step of the job is what repeats then."""
    server.will(SLOW_DOWN)
    with pytest.raises(StorageUnavailableError):
        put(store)
    assert len(server.sent("PUT", "a.png")) == TRIES_MAX


def test_a_put_whose_answer_was_lost_is_not_an_error(store: ObjectStore, server: Recorder) -> None:
    """ST2: the try after a 500 meets the object of the try before: the caller hears that one is there."""
    server.will((500, {}, b"<Error><Code>InternalError</Code></Error>"), TAKEN)
    assert put(store) is False


def test_an_error_with_an_object_s_checksum_is_an_error_like_others(store: ObjectStore, server: Recorder) -> None:
    """A 500 that carries the headers of the object comes out as a failure of the store, not of our code."""
    server.will((500, {"x-amz-checksum-crc32": "AAAAAA=="}, b"broken"))
    with pytest.raises(StorageUnavailableError):
        store.get("a.png")


def test_a_body_that_breaks_off_is_a_failure(store: ObjectStore, server: Recorder) -> None:
    """Fewer bytes than announced are never handed on as an object."""
    server.will((200, {"Content-Length": "100", "Connection": "close"}, BODY))
    with pytest.raises(StorageUnavailableError):
        store.get("a.png")


def test_a_body_with_another_checksum_is_a_failure(store: ObjectStore, server: Recorder) -> None:
    """What was damaged on its way back is seen by the checksum that the server sends with it."""
    server.will((200, {"x-amz-checksum-crc32": "AAAAAA=="}, BODY))
    with pytest.raises(StorageUnavailableError):
        store.get("a.png")


def test_a_bucket_of_another_region_is_followed(store: ObjectStore, server: Recorder) -> None:
    """ST8: where the bucket says that it lives elsewhere, the request is signed for that region and made again."""
    elsewhere = (301, {"x-amz-bucket-region": "us-west-2"}, b"<Error><Code>PermanentRedirect</Code></Error>")
    server.will(elsewhere, DONE)
    assert put(store)
    assert "/us-west-2/s3/aws4_request" in server.sent("PUT", "a.png")[-1]["authorization"]


@pytest.mark.parametrize("body", [b"<Error><Code>PermanentRedirect</Code></Error>", b"<html>Moved Permanently</html>"])
def test_an_endpoint_that_redirects_everything_waits_for_a_person(
    store: ObjectStore, server: Recorder, body: bytes
) -> None:
    """A gate that sends plain HTTP elsewhere is a mistake that no patience mends."""
    server.will((301, {"Location": "https://shop.example/"}, body))
    with pytest.raises(StorageRefusedError):
        put(store)


def test_a_link_of_a_session_carries_its_token(store: ObjectStore) -> None:
    """Without it the server would not know the session's key."""
    assert "X-Amz-Security-Token=a-session" in store.link("a.png", lifetime_seconds=60).url
