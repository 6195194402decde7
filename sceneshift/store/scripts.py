"""The Lua scripts, loaded from their files: each one is a step that either happens whole or not at all."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis


class Script(Protocol):
    """A registered script; with `client=` a pipeline, the call is queued there."""

    def __call__(self, keys: Sequence[str], args: Sequence[str | float], client: Any = None) -> Any: ...


def load_script(client: Redis, name: str, *, parts: Sequence[str] = ()) -> Script:
    """The script `lua/NAME.lua`, sent by its digest and reloaded by itself after a restart of the server.

    `parts` are files of functions that several scripts use; they stand before it.
    """
    return client.register_script("\n".join(_text_of(each) for each in (*parts, name)))


@cache
def _text_of(name: str) -> str:
    """The file's content, read once: a process opens several stores."""
    return (resources.files(__package__) / "lua" / f"{name}.lua").read_text("utf-8")
