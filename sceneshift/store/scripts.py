"""The Lua scripts, loaded from their files: each one is a step that either happens whole or not at all."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis


class Script(Protocol):
    """A registered script; with `client=` a pipeline, the call is queued there."""

    def __call__(self, keys: Sequence[str], args: Sequence[str | float], client: Any = None) -> Any: ...


Call: TypeAlias = "tuple[Sequence[str], Sequence[str | float]]"
"""The keys and the arguments of one call of a script."""


def load_script(client: Redis, name: str, *, parts: Sequence[str] = ()) -> Script:
    """The script `lua/NAME.lua`, sent by its digest and reloaded by itself after a restart of the server.

    `parts` are files of functions that several scripts use; they stand before it.
    """
    return client.register_script("\n".join(_text_of(each) for each in (*parts, name)))


def run_each(client: Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """The script's answers to these calls (keys and arguments), in their order and in one round trip.

    A pipeline of redis-py asks the server first, each time, whether it has the script; here it is sent again only after
    the server has said that it has not. Each call stands for itself: one that fails leaves the others done.

    Raises:
        redis.exceptions.RedisError: the first that a call was answered with.
    """
    if len(calls) == 1:
        [(keys, args)] = calls
        return [script(keys=keys, args=args)]
    answers = _pipelined(client, script, calls, is_loaded=True)
    missed = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if missed:
        again = _pipelined(client, script, [calls[number] for number in missed], is_loaded=False)
        for number, answer in zip(missed, again, strict=True):
            answers[number] = answer
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _pipelined(client: Redis, script: Script, calls: Sequence[Call], *, is_loaded: bool) -> list[Any]:
    with client.pipeline(transaction=False) as pipeline:
        for keys, args in calls:
            script(keys=keys, args=args, client=pipeline)
        if is_loaded:
            pipeline.scripts.clear()
        return pipeline.execute(raise_on_error=False)


@cache
def _text_of(name: str) -> str:
    """The file's content, read once: a process opens several stores."""
    return (resources.files(__package__) / "lua" / f"{name}.lua").read_text("utf-8")
