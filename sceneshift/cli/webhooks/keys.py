"""What a person verifies or signs with: the secrets of the settings, a file of secrets, and public keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sceneshift.errors import ConfigurationError, InvalidRequestError
from sceneshift.settings import PREFIX, current_settings
from sceneshift.webhooks.signing import secret_key


def secrets_of(file: Path | None) -> list[str]:
    """The secrets in this file, or those of SCENESHIFT_WEBHOOK_SECRET, each of the right form.

    Raises:
        ConfigurationError: there is none, or one is malformed.
        InvalidRequestError: the file cannot be read.
    """
    if file is None:
        secrets = [secret.get_secret_value() for secret in current_settings().webhook_secret]
        source = f"{PREFIX}WEBHOOK_SECRET"
    else:
        source = str(file)
        try:
            secrets = file.read_text(encoding="utf-8").split()
        except (OSError, ValueError) as error:
            raise InvalidRequestError(f"{file} cannot be read ({type(error).__name__})", param="secret_file") from None
    if not secrets:
        raise ConfigurationError("there is no secret: set SCENESHIFT_WEBHOOK_SECRET, or give --secret-file")
    check_secrets(secrets, source)
    return secrets


def check_secrets(secrets: Sequence[str], source: str) -> None:
    """Each of them has the form of a secret.

    Raises:
        ConfigurationError: one has not; the text names the source and which of them it is, and repeats none.
    """
    for number, secret in enumerate(secrets, 1):
        try:
            secret_key(secret)
        except ConfigurationError as error:
            which = f", {number} of {len(secrets)}" if len(secrets) > 1 else ""
            raise ConfigurationError(f"{source}{which}: {error.message}") from None
