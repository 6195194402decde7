"""The page for a developer who wonders what came in and what went out.

Looking must not change what is looked at: the page's pictures have addresses of their own, which the ledger does not
count, no scenario strikes and no lifetime ends. They are also all that it needs from outside itself, so that a photo in
a store that only the simulator can reach is shown as well.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sceneshift.simulator.results import ResultGallery
from sceneshift.simulator.service import SimulatedProvider
from sceneshift.simulator.sources import SourceImage

_PARTS: Final = {
    "/": ("page.html", "text/html"),
    "/_sim/page.css": ("page.css", "text/css"),
    "/_sim/page.js": ("page.js", "text/javascript"),
    "/_sim/page_words.js": ("page_words.js", "text/javascript"),
    "/_sim/page.svg": ("page.svg", "image/svg+xml"),
}
_PICTURE_NAME: Final = re.compile(r"(?P<kind>photo|mask|result)-(?P<number>[0-9]{1,4})")
_SIGNATURES: Final = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
"""How the formats begin that a source picture can have."""

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On everything that the page is made of: only this server's own files run, and nothing else is asked for anything."""


def page_routes(provider: SimulatedProvider, gallery: ResultGallery) -> list[BaseRoute]:
    """The page at `/`, its parts, and the pictures on it."""

    async def picture(request: Request) -> Response:
        found = _PICTURE_NAME.fullmatch(request.path_params["name"])
        if not found:
            return _nothing()
        key, number = request.path_params["key"], int(found["number"])
        if found["kind"] == "result":
            order = provider.render_order(key, number)
            return _picture(await gallery.png(order)) if order else _nothing()
        source = _source(provider, key, number, found["kind"])
        return _picture(source.content) if source else _nothing()

    parts = [Route(path, _part(*part), methods=["GET"]) for path, part in _PARTS.items()]
    return [*parts, Route("/_sim/pictures/{key}/{name}", picture, methods=["GET"])]


def _part(name: str, media_type: str) -> Response:
    content = Path(__file__).with_name(name).read_bytes()
    return Response(content, media_type=media_type, headers={**SECURITY_HEADERS, "Cache-Control": "no-cache"})


def _source(provider: SimulatedProvider, key: str, number: int, kind: str) -> SourceImage | None:
    """The photo or the mask of a submission's task, which the provider fetched when it accepted it."""
    submission = provider.book.get(key)
    if submission is None or number >= len(submission.tasks):
        return None
    task = submission.tasks[number]
    return task.image if kind == "photo" else task.mask


def _picture(content: bytes) -> Response:
    """A picture under its own type; it stays as it is for as long as its key is known."""
    media_type = next(kind for start, kind in _SIGNATURES.items() if content.startswith(start))
    headers = {**SECURITY_HEADERS, "Cache-Control": "private, max-age=86400, immutable"}
    return Response(content, media_type=media_type, headers=headers)


def _nothing() -> Response:
    return Response(b"", 404, headers=SECURITY_HEADERS)
