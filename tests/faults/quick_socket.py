"""fakeredis's side of a connection, without what takes most of its time and changes nothing in a simulation.

Scripts are compiled once for all worlds of a process, Lua collects its garbage when it likes, stray globals are looked
for once a script instead of at each of its calls, and an answer is there as soon as it was asked for, so that nobody
has to be woken.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

from fakeredis._commands import COMMANDS_WITH_SUB
from fakeredis._helpers import SimpleError
from fakeredis._socket import FakeSocket
from fakeredis.commands_mixins import scripting_mixin

_SHARED: dict[str, Any] = {}
"""What fakeredis keeps of Lua on a server: one for all servers, for no script leaves anything behind."""
_COMPILED: dict[bytes, Any] = {}


class QuickSocket(FakeSocket):
    """Answers what a `FakeSocket` answers."""

    responses: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.responses = SimpleQueue()

    def put_response(self, response: Any) -> None:
        if self.responses is not None:
            self.responses.put(response)

    def eval(self, script: bytes, numkeys: int, *keys_and_args: bytes) -> Any:
        if not _SHARED:
            result = super().eval(script, numkeys, *keys_and_args)
            _SHARED.update({name: value for name, value in vars(self._server).items() if name.startswith("_lua")})
            return result
        runtime = _SHARED["_lua_runtime"]
        if script not in _COMPILED:
            _COMPILED[script] = runtime.compile(script)
        _SHARED["_lua_current_socket"][0] = self
        self._script_resp = 2
        keys, values = keys_and_args[:numkeys], keys_and_args[numkeys:]
        _SHARED["_lua_set_keys_argv"](runtime.table_from(keys), runtime.table_from(values))
        try:
            result = _COMPILED[script]()
        except scripting_mixin.LUA_MODULE.LuaError as error:
            raise SimpleError(f"ERR {error}") from None
        finally:
            self._script_resp = None
        scripting_mixin._check_for_lua_globals(runtime, _SHARED["_lua_expected_globals"])
        return self._convert_lua_result(result, nested=False)

    def _lua_redis_call(self, lua_runtime: Any, expected_globals: set[Any], op: bytes, *args: Any) -> Any:
        command = op.decode().lower()
        if command in COMMANDS_WITH_SUB:
            return super()._lua_redis_call(lua_runtime, expected_globals, op, *args)
        function, signature = self._name_to_func(command)
        given = [scripting_mixin._convert_redis_arg(arg) for arg in args]
        return self._convert_redis_result(lua_runtime, self._run_command(function, signature, given, True))
