"""A health check for HTTP servers, for images that carry neither curl nor wget: `python -m ops.probe URL`."""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 3.0
SERVER_ERROR = 500


def is_alive(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> bool:
    """True when an HTTP server answers at `url` with anything but a server error. Proxies are not asked."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_seconds)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status < SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_alive(sys.argv[1]) else 1)
