"""Settings come from the environment once; a wrong one is told by name and never by value."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sceneshift.errors import ConfigurationError
from sceneshift.settings import PREFIX, Settings, current_settings

SECRET = "hunter2-canary"


def wrong(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_env(environ)
    return str(raised.value)


def test_variables_are_read_by_their_names() -> None:
    """Each kind of value is read from its text: addresses, numbers, words and secrets."""
    settings = Settings.from_env(
        {
            "SCENESHIFT_REDIS_URL": "redis://:secret@jobs.example:6379/3",
            "SCENESHIFT_POLL_GROWTH": "2.5",
            "SCENESHIFT_RESULT_MAX_BYTES": "1000",
            "SCENESHIFT_ALLOW_HOSTS": "store.internal  10.0.0.1",
            "SCENESHIFT_WEBHOOK_SECRET": "whsec_b25l whsec_dHdv",
            "HOME": "/root",
        }
    )
    assert settings.redis_url.get_secret_value() == "redis://:secret@jobs.example:6379/3"
    assert (settings.poll_growth, settings.result_max_bytes) == (2.5, 1000)
    assert settings.allow_hosts == ("store.internal", "10.0.0.1")
    assert [secret.get_secret_value() for secret in settings.webhook_secret] == ["whsec_b25l", "whsec_dHdv"]


def test_nothing_needs_to_be_set() -> None:
    """An empty environment, and empty variables, are the defaults."""
    assert Settings.from_env({}) == Settings()
    assert Settings.from_env({"SCENESHIFT_POLL_GROWTH": "", "SCENESHIFT_WEBHOOK_URL": ""}) == Settings()


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("True", True), ("1", True), ("false", False), ("0", False)]
)
def test_a_switch_is_read_from_the_usual_words(text: str, *, value: bool) -> None:
    """What a person writes for yes and no."""
    assert Settings.from_env({"SCENESHIFT_PREFLIGHT": text}).preflight is value


@pytest.mark.parametrize("name", ["submit_rate", "query_rate", "max_in_flight"])
@pytest.mark.parametrize(("text", "value"), [("none", None), ("None", None), ("3", 3)])
def test_a_limit_is_a_number_or_none(name: str, text: str, value: int | None) -> None:
    """`none` is how a variable says that there is no limit."""
    assert getattr(Settings.from_env({f"{PREFIX}{name.upper()}": text}), name) == value


@pytest.mark.parametrize("name", ["submit_rate", "query_rate", "max_in_flight"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    """Zero would stop everything without a word."""
    assert wrong({f"{PREFIX}{name.upper()}": "0"}).startswith(f"{PREFIX}{name.upper()}: ")


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("SCENESHIFT_REDIS_ULR", "SCENESHIFT_REDIS_URL"),
        ("SCENESHIFT_POLL_MAXIMUM_SECONDS", "SCENESHIFT_POLL_MAX_SECONDS"),
        ("SCENESHIFT_WEBHOOK_SECRETS", "SCENESHIFT_WEBHOOK_SECRET"),
        ("SCENESHIFT_REDIS_ULR_FILE", "SCENESHIFT_REDIS_URL"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_the_nearest(variable: str, nearest: str) -> None:
    """A misspelt limit does not silently do nothing, and its value is not shown."""
    text = wrong({variable: SECRET})
    assert variable in text
    assert f"the nearest is {nearest} " in text
    assert SECRET not in text


def test_variables_of_others_are_left_alone() -> None:
    """Only our prefix is ours, as it is written."""
    assert Settings.from_env({"SCENESHIFTER": "x", "sceneshift_x": "x", "CELERY_BROKER_URL": "x"}) == Settings()


def test_a_value_may_lie_in_a_file(tmp_path: Path) -> None:
    """`_FILE` names a file that holds the value; white space around it is not part of it."""
    path = tmp_path / "secret"
    path.write_text(f"  {SECRET}\n", encoding="utf-8")
    settings = Settings.from_env({"SCENESHIFT_PROVIDER_APPCODE_FILE": str(path)})
    assert settings.provider_appcode is not None
    assert settings.provider_appcode.get_secret_value() == SECRET


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """The error has the variable and the path, and none of the content."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    text = wrong({"SCENESHIFT_PROVIDER_APPCODE_FILE": str(path)})
    assert "SCENESHIFT_PROVIDER_APPCODE_FILE" in text
    assert str(path) in text


def test_a_secret_in_the_place_of_its_file_is_not_repeated() -> None:
    """The value itself was given where a path belongs: the text names the variable alone."""
    text = wrong({"SCENESHIFT_PROVIDER_APPCODE_FILE": SECRET})
    assert "SCENESHIFT_PROVIDER_APPCODE_FILE" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("POLL_GROWTH", "fast"),
        ("POLL_GROWTH", "0.5"),
        ("POLL_FIRST_SECONDS", "0"),
        ("LEASE_SECONDS", "0.5"),
        ("LEASE_SECONDS", "601"),
        ("JOB_RETENTION_SECONDS", str(7 * 86_400 - 1)),
        ("POLL_FIRST_SECONDS", "inf"),
        ("POLL_OVERDUE_SECONDS", "nan"),
        ("JOB_DEADLINE_SECONDS", "inf"),
        ("PROVIDER_RETENTION_SECONDS", "Infinity"),
        ("RESULT_TIMEOUT_SECONDS", "1e999"),
        ("URL_LIFETIME_SECONDS", "604801"),
        ("URL_LIFETIME_SECONDS", "3599"),
        ("RESULT_MAX_PIXELS", "178000001"),
        ("RESULT_MAX_BYTES", "0"),
        ("PREFLIGHT", "perhaps"),
        ("SOURCE_TIMEOUT_SECONDS", "0"),
        ("SOURCE_TIMEOUT_SECONDS", "121"),
        ("SOURCE_MAX_BYTES", "0"),
        ("PROVIDER_URL", "not a url"),
        ("WEBHOOK_URL", "not a url"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("KEY_PREFIX", "p" * 65),
        ("JOB_DEADLINE_SECONDS", "-1"),
    ],
)
def test_a_value_out_of_range_is_told_by_its_variable(field: str, value: str) -> None:
    """One line per wrong setting, with what is expected."""
    assert wrong({PREFIX + field: value}).startswith(f"{PREFIX}{field}: ")


@pytest.mark.parametrize("field", [name.upper() for name in Settings.model_fields])
def test_a_wrong_value_is_never_shown(field: str) -> None:
    """Whatever is put into any variable, an error does not repeat it: it may be a secret in the wrong place."""
    try:
        Settings.from_env({PREFIX + field: f"{SECRET} \x00"})
    except ConfigurationError as error:
        assert SECRET not in str(error)  # noqa: PT017  # most fields take any text, and then there is nothing to check


def test_several_mistakes_are_told_at_once() -> None:
    """So that they can be mended in one go."""
    text = wrong({"SCENESHIFT_LOG_LEVEL": "LOUD", "SCENESHIFT_POLL_GROWTH": "0"})
    assert "SCENESHIFT_LOG_LEVEL: " in text
    assert "SCENESHIFT_POLL_GROWTH: " in text


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    """Neither `repr`, nor `str`, nor a dump shows a password, an AppCode, a signing secret or a webhook's address."""
    settings = Settings.from_env(
        {
            "SCENESHIFT_REDIS_URL": f"redis://:{SECRET}@h/0",
            "SCENESHIFT_BROKER_URL": f"redis://:{SECRET}@h/1",
            "SCENESHIFT_PROVIDER_APPCODE": SECRET,
            "SCENESHIFT_WEBHOOK_SECRET": SECRET,
            "SCENESHIFT_WEBHOOK_URL": f"https://shop.example/hooks?token={SECRET}",
        }
    )
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert SECRET not in shown


def test_the_broker_is_the_job_store_unless_it_is_another() -> None:
    """One server serves both by default."""
    assert Settings(redis_url="redis://a/0").effective_broker_url == "redis://a/0"
    assert Settings(redis_url="redis://a/0", broker_url="amqp://b").effective_broker_url == "amqp://b"


def test_a_job_store_behind_a_socket_is_a_broker_too() -> None:
    """Redis clients and Celery's call a socket by different names; a broker that was named keeps its name."""
    assert Settings(redis_url="unix:///run/redis.sock").effective_broker_url == "redis+socket:///run/redis.sock"
    both = Settings(redis_url="unix:///run/redis.sock", broker_url="redis://unix/0")
    assert both.effective_broker_url == "redis://unix/0"


@pytest.mark.parametrize(
    "field", sorted(name for name, field in Settings.model_fields.items() if field.annotation is float)
)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_no_time_is_endless(field: str, value: str) -> None:
    """A wait that never ends, or compares with nothing, is a wrong value of every setting that is a number."""
    assert f"{PREFIX}{field.upper()}: " in wrong({PREFIX + field.upper(): value})


def test_a_week_of_retention_is_enough() -> None:
    """Webhooks are tried for three days, so what they tell of is kept for longer."""
    assert Settings(job_retention_seconds=7 * 86_400).job_retention_seconds == 604_800.0


def test_renditions_are_known_words() -> None:
    """Each once, in one order, so that manifests do not depend on how they were written down."""
    assert Settings.from_env({"SCENESHIFT_RENDITIONS": "webp  thumbnail webp"}).renditions == ("thumbnail", "webp")
    assert Settings().renditions == ()
    assert "thumbnail" in wrong({"SCENESHIFT_RENDITIONS": "avif"})


def test_no_result_is_larger_than_one_put() -> None:
    """S3 takes 5 GB in one PUT; more would need parts, which nothing here sends."""
    assert Settings(result_max_bytes=5_000_000_000).result_max_bytes == 5_000_000_000
    assert "SCENESHIFT_RESULT_MAX_BYTES" in wrong({"SCENESHIFT_RESULT_MAX_BYTES": "5000000001"})


def test_settings_are_frozen_and_known_by_name() -> None:
    """Nothing changes them while a process runs, and a misspelt keyword is refused."""
    with pytest.raises(ValidationError):
        Settings().poll_growth = 2.0  # type: ignore[misc]  # what this test is about
    with pytest.raises(ValidationError):
        Settings(poll_grwoth=2.0)  # type: ignore[call-arg]  # what this test is about


def test_keywords_alone_make_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by hand, settings do not look at the environment; the process's own do, once."""
    monkeypatch.setenv("SCENESHIFT_POLL_GROWTH", "3")
    assert Settings().poll_growth == 1.25
    current_settings.cache_clear()
    try:
        assert current_settings().poll_growth == 3.0
        monkeypatch.setenv("SCENESHIFT_POLL_GROWTH", "2")
        assert current_settings().poll_growth == 3.0
    finally:
        current_settings.cache_clear()


def test_every_setting_says_what_it_is() -> None:
    """The table in the docs is made from these sentences."""
    assert all(str(field.description).endswith((".", "`.")) for field in Settings.model_fields.values())
