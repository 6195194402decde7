"""Which redirects are followed, and where they lead, decided from an answer's status and headers alone.

The URL that comes out is one from outside like any other: whether a request may be sent to it is for the guard to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urljoin

from sceneshift.fetch_errors import FetchStatusError

REDIRECTS = frozenset({301, 302, 303, 307, 308})
REDIRECTS_MAX = 3

# All else, such as a space or a letter that is not ASCII, is sent in percent signs, as browsers do.
_SENT_AS_IT_IS = "%/:?#@!$&'()*+,;=[]~-._"


def redirect_target(url: str, host: str, status: int, headers: Mapping[str, str], *, followed: int) -> str:
    """The absolute URL that the redirect of `url` leads to, when so many were followed before it.

    Raises:
        FetchStatusError: there were too many, or it leads nowhere that may be followed.
    """
    if followed >= REDIRECTS_MAX:
        raise FetchStatusError(f"{host} answered with status {status} after {followed} redirects", status=status)
    location = quote(headers.get("location", "").encode("latin-1"), safe=_SENT_AS_IT_IS)
    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    if not location or not target.startswith(("https://", "http://")):
        raise FetchStatusError(f"{host} answered with status {status} without a usable Location", status=status)
    if url.startswith("https:") and not target.startswith("https:"):
        raise FetchStatusError(f"{host} answered with status {status} that leads from https to http", status=status)
    return target
