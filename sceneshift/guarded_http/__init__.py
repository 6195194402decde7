"""The one HTTP client for URLs that came from outside: webhook endpoints, result images, source images.

Each name is looked up once, every address of the answer is checked, and the connection goes to a checked one, so that
no second look-up can give another answer. TLS still verifies the name. Nothing is decoded or remembered: no cookies,
proxies or content encodings; bytes, time and slowness are bounded whatever the other side does. A redirect is followed
only by `peek`, which gives nothing away and keeps nothing, and each hop is a guarded request of its own.

It stands on httpcore, the layer under httpx, whose network backend is the public place for such checks. And since URLs
are read by `url_rules` alone, no second parser can see another host in them. Whoever asked learns of a refusal by one
code and one text; its cause is in the log, as `request.blocked`.
"""

from __future__ import annotations

from sceneshift.fetch_errors import (
    FetchBlockedError,
    FetchError,
    FetchFailedError,
    FetchStatusError,
    FetchTimeoutError,
    FetchTooLargeError,
    FetchTruncatedError,
)
from sceneshift.guarded_http.answers import Answer, Downloaded, NotYet, Peek, retry_after_seconds
from sceneshift.guarded_http.client import GuardedClient
from sceneshift.guarded_http.network import Resolver, resolve
from sceneshift.url_rules import check_url

__all__ = [
    "Answer",
    "Downloaded",
    "FetchBlockedError",
    "FetchError",
    "FetchFailedError",
    "FetchStatusError",
    "FetchTimeoutError",
    "FetchTooLargeError",
    "FetchTruncatedError",
    "GuardedClient",
    "NotYet",
    "Peek",
    "Resolver",
    "check_url",
    "resolve",
    "retry_after_seconds",
]
