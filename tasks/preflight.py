"""The look at `image` and `mask` before a job is submitted: what the provider would refuse fails while it is free.

The two are looked at one after the other, and the first bad one decides. A worker's thread is what a slow server costs,
so none is taken for a second look that cannot change the answer.
"""

from __future__ import annotations

from sceneshift.fetch_errors import FetchError
from sceneshift.provider.protocol import RenderItem
from storage.image_headers import ImageHeader
from storage.source_images import HEAD_MAX_BYTES, Param, check_pair, is_decided, of_fetch_error, read_source
from tasks.services import Services


def check_sources(services: Services, item: RenderItem) -> None:
    """Both sources of this item can be fetched and rendered, as far as their first bytes tell.

    It takes at most twice `source_timeout_seconds`, and 8 MiB of each source, of which about one is held at a time. A
    URL that redirects is judged by what it leads to; the provider still gets the URL itself.

    Raises:
        SourceError: one of them cannot, or they do not fit together.
    """
    image = _look(services, "image", item.image)
    mask = _look(services, "mask", item.mask)
    check_pair(image, mask)


def _look(services: Services, param: Param, url: str) -> ImageHeader | None:
    settings = services.settings
    try:
        peek = services.fetcher.peek(
            url,
            max_bytes=HEAD_MAX_BYTES,
            timeout_seconds=settings.source_timeout_seconds,
            is_enough=is_decided,
        )
    except FetchError as error:
        raise of_fetch_error(param, error) from error
    return read_source(param, peek, max_bytes=settings.source_max_bytes)
