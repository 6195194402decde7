"""A Redis-protocol server that asks for a password, and that can be away for a while."""

from __future__ import annotations

from pathlib import Path

from redis import Redis

from sceneshift.errors import ConfigurationError
from workers.embedded.processes import kill
from workers.embedded.redis_server import RedisServer


class ChaosServer(RedisServer):
    """A private server with an append-only file, and with a password of its own that is in its URL."""

    def __init__(self, directory: Path, *, password: str, fsync: str = "everysec") -> None:
        super().__init__(directory, fsync=fsync)
        self._password = password

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        """It was killed with SIGKILL and is gone."""
        if self._process is not None:
            kill(self._process)

    def start_again(self) -> None:
        """It runs on the same port, from its append-only file.

        Raises:
            ConfigurationError: it does not start; the text names its log.
        """
        if not self._try_start():
            raise ConfigurationError(f"{self._binary} did not start again; its log is in {self._log}")

    def flush(self) -> None:
        """It has forgotten everything."""
        with Redis.from_url(self.url, socket_timeout=5.0) as client:
            client.flushall()

    def written(self) -> bytes:
        """All that it has written to its disk, its own log included."""
        return b"".join(path.read_bytes() for path in sorted(self._directory.rglob("*")) if path.is_file())

    def _options(self) -> dict[str, str]:
        return {**super()._options(), "--requirepass": self._password}
