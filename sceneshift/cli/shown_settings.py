"""Settings and faults as a report may show them: what may be a secret stays out, also where it was written wrongly.

A password with a slash, a question mark or a number sign in it ends up in another part of the URL than its author
meant, and a parser's complaint repeats it. So a URL that is not plainly in order is shown as nothing.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from sceneshift.settings import Settings
from sceneshift.store.connection import without_password

MASKED = "***"
_URLS = frozenset({"redis_url", "broker_url", "provider_url", "storage_url", "webhook_url"})
_HOST = re.compile(r"[\w.:\[\]-]+")
_REGION = re.compile(r"[\w-]+")
# What Python raises for a URL that it cannot read, with a part of it in the text.
_ABOUT_THE_URL = (ValueError, TypeError, LookupError, AttributeError, ImportError)


def shown_settings(settings: Settings) -> dict[str, str]:
    """Every effective value: of a URL its place and path, of a webhook's URL its place alone, of a secret nothing."""
    return {name: _shown(name, getattr(settings, name)) for name in type(settings).model_fields}


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _URLS:
        return shown_url(name, value.get_secret_value() if isinstance(value, SecretStr) else str(value))
    if isinstance(value, tuple):
        return " ".join(_shown(name, each) for each in value)
    if isinstance(value, SecretStr) or (name == "allow_hosts" and not _HOST.fullmatch(value)):
        return MASKED
    return str(value)


def shown_url(name: str, url: str) -> str:
    """What may be shown of this setting's URL; `MASKED` alone when it is not plainly in order."""
    place = _shown_place(url)
    if place == MASKED:
        return MASKED
    if name == "webhook_url":
        return f"{place}/{MASKED}"
    parts = urlsplit(url)
    return place + parts.path + (_shown_parameters(parts.query) if name == "storage_url" else "")


def _shown_place(url: str) -> str:
    """Scheme, host and port; `MASKED` when a part of a password may be in them, or behind them."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return MASKED
    if (
        not parts.scheme
        or "://" not in url
        or (port and not host)
        or "@" in parts.path + parts.query + parts.fragment
        or ";" in url
    ):
        return MASKED
    user = f"{MASKED}@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{user}{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"


def _shown_parameters(query: str) -> str:
    shown = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "endpoint_url":
            shown.append(f"endpoint_url={_shown_place(value)}")
        elif name == "region" and _REGION.fullmatch(value):
            shown.append(f"region={value}")
        else:
            shown.append(MASKED)
    return f"?{'&'.join(shown)}" if shown else ""


def is_about_url(error: Exception) -> bool:
    """The client could not even try: the URL or one of its options is wrong."""
    return isinstance(error, _ABOUT_THE_URL)


def described(error: Exception, name: str, url: str) -> str:
    """The kind of the error, and its text where that cannot repeat a part of a password."""
    kind = type(error).__name__
    if is_about_url(error) or shown_url(name, url) == MASKED:
        return kind
    return f"{kind}: {without_password(str(error))}"
