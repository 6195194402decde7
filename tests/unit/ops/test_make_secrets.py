"""Secrets are made once, fit together, and stay where they are."""

from __future__ import annotations

import configparser
import hashlib
import json
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ops import make_secrets
from sceneshift.settings import Settings


def texts(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    """A password that is in use is never replaced by running the program again."""
    list(make_secrets.write_missing(tmp_path))
    before = texts(tmp_path)
    assert list(make_secrets.write_missing(tmp_path)) == []
    assert texts(tmp_path) == before


def test_files_that_belong_together_are_replaced_together(tmp_path: Path) -> None:
    """Deleting one file of a pair gives a new pair that fits, and leaves the other secrets alone."""
    list(make_secrets.write_missing(tmp_path))
    before = texts(tmp_path)
    (tmp_path / "broker_acl").unlink()
    assert sorted(make_secrets.write_missing(tmp_path)) == ["broker_acl", "broker_url"]
    after = texts(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"broker_acl", "broker_url"}


@pytest.mark.parametrize("server", [("redis_url", "state_acl"), ("broker_url", "broker_acl")])
def test_access_list_knows_the_password_of_the_url(tmp_path: Path, server: tuple[str, str]) -> None:
    """The service can log in, and the server's file holds no password in the clear."""
    list(make_secrets.write_missing(tmp_path))
    url, acl = ((tmp_path / name).read_text() for name in server)
    password = urlsplit(url.strip()).password
    assert password is not None
    assert f"#{hashlib.sha256(password.encode()).hexdigest()}" in acl
    assert password not in acl


def test_object_store_and_its_clients_have_the_same_key(tmp_path: Path) -> None:
    """The identity file and the credentials file name one key pair."""
    list(make_secrets.write_missing(tmp_path))
    (identity,) = json.loads((tmp_path / "object_store_identities").read_text())["identities"]
    credentials = configparser.ConfigParser()
    credentials.read(tmp_path / "object_store_credentials")
    assert identity["credentials"] == [
        {
            "accessKey": credentials["default"]["aws_access_key_id"],
            "secretKey": credentials["default"]["aws_secret_access_key"],
        }
    ]


def test_webhook_secret_is_accepted_by_the_settings(tmp_path: Path) -> None:
    """The signing secret is of the form that the settings and every verifier expect."""
    list(make_secrets.write_missing(tmp_path))
    settings = Settings.from_env({"SCENESHIFT_WEBHOOK_SECRET_FILE": str(tmp_path / "webhook_secret")})
    (secret,) = settings.webhook_secret
    assert secret.get_secret_value().startswith("whsec_")


def test_others_are_kept_out_and_containers_let_in(tmp_path: Path) -> None:
    """The directory opens for its owner only, the files for any container user, and git ignores all of it."""
    directory = tmp_path / "fresh"
    list(make_secrets.write_missing(directory))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert (directory / ".gitignore").read_text() == "*\n"
    for name in ("redis_url", "state_acl", "flower_basic_auth"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o644


def test_program_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed are names of files."""
    monkeypatch.setattr(make_secrets, "DIRECTORY", tmp_path)
    make_secrets.main()
    shown = capsys.readouterr().out
    assert "flower_basic_auth" in shown
    for text in texts(tmp_path).values():
        for word in text.split():
            assert len(word) < 20 or word not in shown
    make_secrets.main()
    assert "nothing written" in capsys.readouterr().out
