"""Writes the secret files that docker-compose.yml mounts, because no password may have a default.

`python3 -m ops.make_secrets` needs nothing but Python. It keeps what is there and writes what is missing, so it can be
run again at any time; to replace a password, delete one of its files and run it again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent.parent / ".secrets"

COMMANDS_ALLOWED = "allkeys allchannels +@all -@admin +config|get -flushall -flushdb -swapdb -keys -restore -migrate"
"""What the service may ask of its Redis servers: everything but administration and what empties or lists a server."""

Group = Callable[[], dict[str, str]]


def redis_server(host: str, url_name: str, acl_name: str) -> Group:
    """The URL with a password, and the access list that knows only its hash. Without a password one may only ping."""

    def group() -> dict[str, str]:
        password = secrets.token_urlsafe(32)
        digest = hashlib.sha256(password.encode()).hexdigest()
        acl = f"user default reset on nopass +ping\nuser sceneshift reset on #{digest} {COMMANDS_ALLOWED}\n"
        return {url_name: f"redis://sceneshift:{password}@{host}:6379/0\n", acl_name: acl}

    return group


def object_store() -> dict[str, str]:
    """One key pair, as the object store's identity file and as a credentials file of the AWS format."""
    key, secret = secrets.token_hex(10), secrets.token_urlsafe(32)
    identity = {
        "name": "sceneshift",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return {
        "object_store_identities": json.dumps({"identities": [identity]}, indent=1) + "\n",
        "object_store_credentials": f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n",
    }


def provider() -> dict[str, str]:
    """The simulator's AppCode, until the file gets the real one."""
    return {"provider_appcode": "simulator\n"}


def webhooks() -> dict[str, str]:
    """A signing secret as Standard Webhooks writes them."""
    return {"webhook_secret": f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}\n"}


def flower() -> dict[str, str]:
    """The pair that Flower asks for."""
    return {"flower_basic_auth": f"admin:{secrets.token_urlsafe(24)}\n"}


GROUPS: tuple[Group, ...] = (
    redis_server("state", "redis_url", "state_acl"),
    redis_server("broker", "broker_url", "broker_acl"),
    object_store,
    provider,
    webhooks,
    flower,
)


def write_missing(directory: Path) -> Iterator[str]:
    """Every secret file is there afterwards; yields the names of those that were written.

    Files that belong together, such as a URL and the access list that knows its password, are kept or written together.
    """
    # The directory keeps other users of this machine out. The files are readable: containers run as other users.
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    (directory / ".gitignore").write_text("*\n", encoding="utf-8")
    for group in GROUPS:
        files = group()
        if all((directory / name).is_file() for name in files):
            continue
        for name, text in files.items():
            path = directory / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
            yield name


def main() -> None:
    """Write what is missing into `.secrets`, and say what was written; no secret is shown."""
    written = list(write_missing(DIRECTORY))
    sys.stdout.write(f"{DIRECTORY}: {'wrote ' + ', '.join(written) if written else 'complete, nothing written'}\n")


if __name__ == "__main__":
    main()
