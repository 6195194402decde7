"""What of the service is beside this library: a shop has the library alone, a checkout and an image both.

Imports point inwards, so the outer packages are found by name, and only those of the same checkout are meant.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

import sceneshift
from sceneshift.errors import SceneshiftError
from sceneshift.settings import Settings
from sceneshift.webhook_bodies import Links

log = logging.getLogger(__name__)

OpenStore = Callable[[str], object]

_CHECKOUT = Path(sceneshift.__file__).resolve().parents[1]


def service_store() -> OpenStore | None:
    """How a worker opens its storage; None where the service is not beside this library.

    Raises:
        ImportError: the service is there, and something that it needs is not.
    """
    # Shops use these names themselves: only the package of the same checkout is meant.
    found = importlib.util.find_spec("storage")
    places = [Path(each).resolve() for each in (found.submodule_search_locations or ())] if found else []
    if _CHECKOUT / "storage" not in places:
        return None
    return cast("OpenStore", importlib.import_module("storage.opening").open_store)


def result_links(settings: Settings) -> Links | None:
    """What makes links to results as the workers do; None where that cannot be had, and why is logged."""
    try:
        open_store = service_store()
        return None if open_store is None else cast("Links", open_store(settings.storage_url))
    except ImportError as error:
        log.info("links.not_made", extra={"error": f"the package {error.name} is missing"})
    except SceneshiftError as error:
        log.warning("links.not_made", extra={"error": str(error)})
    return None
