"""One POST to an address that a person typed on their own machine: no redirects, no proxies, bounded time and bytes.

It needs the standard library only, for it runs where a shop is developed. What workers send, and whatever goes to a URL
from outside, goes through the guarded client instead.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from sceneshift.errors import InvalidRequestError

TIMEOUT_SECONDS = 15.0
"""How long a worker waits for an answer; here it bounds each wait for the other side."""

ANSWER_MAX_BYTES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PostAnswer:
    """What came back, and after how many seconds."""

    status: int
    seconds: float


class Endpoint:
    """A receiver by its URL; calling it posts a body and returns the status.

    Raises:
        InvalidRequestError: the text is not an http or https URL.
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        try:
            parts = urlsplit(url)
            self._host, self._port, known = parts.hostname, parts.port, parts.scheme in {"http", "https"}
        except ValueError:
            known, self._host = False, None
        if not known or not self._host:
            raise InvalidRequestError(f"{url!r} is not a URL such as http://127.0.0.1:8000/webhooks", param="url")
        self._is_secure = parts.scheme == "https"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout_seconds = timeout_seconds

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer to this POST; raises as `post` does."""
        return self.post(body, headers).status

    def post(self, body: bytes, headers: Mapping[str, str]) -> PostAnswer:
        """The answer to this POST.

        Raises:
            OSError: nobody answered in time.
        """
        kind = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        connection = kind(self._host or "", self._port, timeout=self._timeout_seconds)
        started = time.monotonic()
        try:
            connection.request("POST", self._path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            answer.read(ANSWER_MAX_BYTES)
            return PostAnswer(status=answer.status, seconds=time.monotonic() - started)
        except http.client.HTTPException as error:
            raise ConnectionError(f"the answer is not HTTP ({type(error).__name__})") from None
        finally:
            connection.close()
