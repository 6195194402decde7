"""Files of a catalogue, brought to where the provider can fetch them. The service beside this library does that."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from sceneshift.errors import ConfigurationError
from sceneshift.service import service_store
from sceneshift.settings import Settings


def stager(settings: Settings) -> Callable[[Path], str]:
    """What stages one file in the bucket of these settings and returns its URL; a file is read once.

    Raises:
        ConfigurationError: the service is not here, or the storage URL is wrong.
    """
    try:
        open_store = service_store()
    except ImportError as error:
        raise ConfigurationError(f"{error.name} is missing: pip install 'sceneshift[service]'") from None
    if open_store is None:
        raise ConfigurationError("staging needs the service: use it from a checkout or from its container image")
    store, staging = open_store(settings.storage_url), importlib.import_module("storage.staging")
    staged: dict[Path, str] = {}

    def stage(path: Path) -> str:
        if path not in staged:
            staged[path] = staging.stage_file(store, path, max_bytes=settings.source_max_bytes)
        return staged[path]

    return stage
