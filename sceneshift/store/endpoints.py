"""The named endpoints of a deployment, as every process that moves jobs knows them.

A process keeps the list with its version. The script of a transition compares versions, so that a job's events never go
by an old list: a new endpoint gets each event from the moment that it was added.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from sceneshift.errors import InvalidRequestError, UnknownRecordError
from sceneshift.jobs.endpoints import ENDPOINTS_MAX, Endpoint, Endpoints
from sceneshift.store.keys import Keys
from sceneshift.store.scripts import load_script

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger(__name__)

ATTEMPTS = 10
"""How often a change is made anew when others change the list at the same time."""


class EndpointBook:
    """The named endpoints of one deployment."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._save = load_script(client, "save_endpoint")
        self._known = Endpoints(by_id={})

    @property
    def known(self) -> Endpoints:
        """The endpoints as this process has last seen them."""
        return self._known

    def read(self) -> Endpoints:
        """The endpoints as they are now; what a later release has written in another form is left out, and logged."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.get(self._keys.endpoints_version)
            pipeline.hgetall(self._keys.endpoints)
            version, documents = pipeline.execute()
        by_id: dict[str, Endpoint] = {}
        for endpoint_id, text in sorted(documents.items()):
            try:
                by_id[endpoint_id] = Endpoint.from_json(text)
            except UnknownRecordError as error:
                log.warning("endpoint.unknown", extra={"endpoint_id": endpoint_id, "error": str(error)})
        self._known = Endpoints(version=version or "0", by_id=by_id)
        return self._known

    def get(self, endpoint_id: str) -> Endpoint | None:
        """The endpoint as it is now, or None when it was removed.

        Raises:
            UnknownRecordError: a later release wrote it in another form.
        """
        text: str | None = self._client.hget(self._keys.endpoints, endpoint_id)  # type: ignore[assignment]  # redis-py: maybe awaitable
        return None if text is None else Endpoint.from_json(text)

    def add(self, endpoint: Endpoint) -> None:
        """The endpoint gets every event that happens from now on.

        Raises:
            InvalidRequestError: its name is taken, or there are as many as there may be.
        """

        def check(endpoints: Endpoints) -> Endpoint:
            if len(endpoints.by_id) >= ENDPOINTS_MAX:
                raise InvalidRequestError(f"there are {ENDPOINTS_MAX} endpoints already", param="name")
            if any(each.name == endpoint.name for each in endpoints.by_id.values()):
                raise InvalidRequestError(f"an endpoint is named {endpoint.name!r} already", param="name")
            return endpoint

        self._change(check)

    def update(self, name: str, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """The endpoint of this name is what `change` has made of it; returns that.

        Raises:
            InvalidRequestError: there is none of this name.
        """
        return self._change(lambda endpoints: change(endpoints.named(name)))

    def remove(self, name: str) -> Endpoint:
        """There is no endpoint of this name any more; returns the one that there was.

        Raises:
            InvalidRequestError: there was none.
        """
        return self._change(lambda endpoints: endpoints.named(name), removes=True)

    def _change(self, change: Callable[[Endpoints], Endpoint], *, removes: bool = False) -> Endpoint:
        for _ in range(ATTEMPTS):
            seen = self.read()
            endpoint = change(seen)
            keys = [self._keys.endpoints, self._keys.endpoints_version]
            if self._save(keys=keys, args=[seen.version, endpoint.id, "" if removes else endpoint.to_json()]):
                self.read()
                return endpoint
        raise InvalidRequestError("others are changing the endpoints at this moment; try again")
