"""Every setting, in one frozen object that is read from `SCENESHIFT_*` variables once.

Each variable may also be given as `SCENESHIFT_NAME_FILE`, the path of a file that holds the value (Docker and
Kubernetes secrets). An unknown `SCENESHIFT_*` variable is an error, because a misspelt limit that silently does nothing
costs money. The table in docs/reference/settings.md is made from the field descriptions below.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import AnyUrl, BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

from sceneshift.errors import ConfigurationError
from sceneshift.jobs.unknown_outcome_policy import UnknownOutcomePolicy

PREFIX = "SCENESHIFT_"


class Settings(BaseModel):
    """The effective settings; secrets are masked in `repr`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Where jobs live: a Redis-protocol server with persistence and without eviction.",
    )
    broker_url: SecretStr | None = Field(
        default=None,
        description="Celery's broker. Its loss costs seconds, never a job. Unset: the same server as the jobs.",
    )
    provider_url: AnyUrl | None = Field(
        default=None, description="The provider's base URL, with its path prefix, such as `https://HOST/api/v1/bg-rep`."
    )
    provider_appcode: SecretStr | None = Field(
        default=None, description="The provider's AppCode. Sent in the clear inside TLS: treat it like a password."
    )
    provider_connect_timeout_seconds: float = Field(
        default=5.0, gt=0, le=60, description="Time to connect to the provider, TLS included."
    )
    provider_read_timeout_seconds: float = Field(
        default=35.0,
        gt=0,
        le=300,
        description="Silence of the provider after which a call is given up; longer than its gateway's limit (30 s), "
        "so that its answer arrives instead of our time-out.",
    )
    provider_retention_seconds: float = Field(
        default=86_400.0,
        gt=0,
        description="How long the provider keeps a result. An overdue job is asked about until then, for it is paid.",
    )
    submit_rate: float | None = Field(
        default=2.0,
        gt=0,
        le=10_000,
        description="Submissions per second, of all workers together; `none` sets no limit of ours. The provider's own "
        "is not known: similar services allow 2.",
    )
    query_rate: float | None = Field(
        default=30.0,
        gt=0,
        le=100_000,
        description="Questions per second about jobs at the provider, of all workers together; or `none`. A job takes "
        "about 12, so this is what the default `SCENESHIFT_SUBMIT_RATE` needs.",
    )
    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        description="Jobs that the provider may be at, until it is done with them; `none` sets no limit of ours.",
    )
    nonce_contract: str = Field(
        default="unverified",
        pattern="^(unverified|verified)$",
        description="`verified` when somebody has made sure, on the real account, that the provider refuses a nonce "
        "that it has seen. `probe` needs that.",
    )
    nonce_window_seconds: float = Field(
        default=900.0,
        ge=60,
        le=86_400,
        description="How long the provider remembers a nonce. `probe` stops after four fifths of it.",
    )
    unknown_outcome: str = Field(
        default="hold",
        description="What becomes of a submission that may have been charged and whose answer is lost: `hold` (a "
        "person decides), `fail`, `resubmit(K, BUDGET)` (again by itself, up to K times a job and for BUDGET images a "
        "day in all), or `probe` (the same request with the same nonce again while the provider refuses used ones).",
    )
    intent_log: str = Field(
        default="redis",
        pattern="^(redis|storage)$",
        description="Where the intent of a submission is written before it is sent: `redis` (the job store alone), or "
        "`storage` (also as an object in the bucket, which survives a job store that loses what it confirmed).",
    )
    disk_wait_seconds: float | None = Field(
        default=2.0,
        gt=0,
        le=30,
        description="How long an accepted order, an intent and a result key wait for the job store's disk, where the "
        "server can tell (WAITAOF); `none` does not wait.",
    )
    spool_directory: str = Field(
        default="/var/lib/sceneshift/spool",
        min_length=1,
        description="Where workers put the keys of accepted submissions before the job store hears of them: a "
        "directory on a local disk that outlives the worker; `none` does without.",
    )
    spill_directory: str = Field(
        default="none",
        min_length=1,
        description="Where workers put result images that the store does not take, before their URLs end: a directory "
        "on a local disk that outlives the worker; `none` does without.",
    )
    spill_after_seconds: float = Field(
        default=600.0,
        ge=0,
        description="So long after the provider has finished, an image that the store does not take is put there. "
        "Less than half the life of the provider's result URLs.",
    )
    spill_max_bytes: int = Field(
        default=10_000_000_000, gt=0, description="So much may lie in that directory; what is over waits for the store."
    )
    storage_url: str = Field(
        default="file:///var/lib/sceneshift/results",
        description="Where results go: `s3://bucket/prefix?endpoint_url=…&region=…` or `file:///directory`.",
    )
    webhook_secret: tuple[SecretStr, ...] = Field(
        default=(),
        description="Webhook signing secrets (`whsec_…`), separated by spaces. All sign, so that one can be replaced.",
    )
    webhook_endpoint_key: tuple[SecretStr, ...] = Field(
        default=(),
        description="The key (`whsec_…`) from which the secrets of named webhook endpoints are derived; for workers "
        "and operators, never for receivers. Several, separated by spaces, while one replaces another: all sign, and "
        "the first one's secrets are shown.",
    )
    webhook_url: SecretStr | None = Field(
        default=None,
        description="Where webhooks go for jobs that name no `webhook_url` of their own. It may hold a token, so it is "
        "masked like a secret.",
    )
    webhook_timeout_seconds: float = Field(
        default=15.0, gt=0, le=60, description="Total time for one webhook attempt, the answer included."
    )
    webhook_catch_up_rate: float = Field(
        default=10.0,
        gt=0,
        le=1000,
        description="So many events per second an endpoint gets at the most while it catches up after an outage, one "
        "after the other. Choose more than it gets on an ordinary day.",
    )
    webhook_disable_after_seconds: float = Field(
        default=5 * 86_400.0,
        ge=3600,
        description="An endpoint that has been failing for so many seconds is disabled: its events wait until a "
        "person enables it. Warnings come at 50, 70, 90 and 100 % of the way.",
    )
    allow_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts that requests may reach although their addresses are private or the worker's own, separated "
        "by spaces, on any port. For development, and for stores on the internal network.",
    )
    key_prefix: str = Field(
        default="{sceneshift}",
        min_length=1,
        max_length=64,
        description="The first part of every Redis key. The braces keep all keys on one shard of a cluster.",
    )
    lease_seconds: float = Field(
        default=20.0,
        ge=1,
        le=600,
        description="How long a step may go without a sign of life from its worker; then a dead worker's jobs move.",
    )
    timekeeper_interval_seconds: float = Field(
        default=0.1, ge=0.01, le=5, description="How often each worker looks for due jobs."
    )
    poll_first_seconds: float = Field(
        default=2.0,
        ge=0.05,
        description="Time from submission to the first question about a job, as long as no job with the same `steps` "
        "and `num_output` has been measured. Afterwards it is the time in which the quickest of them are done.",
    )
    poll_growth: float = Field(
        default=1.25,
        ge=1.05,
        le=4,
        description="As long as no such job has been measured, a job is this many times as old at each question as at "
        "the one before. Afterwards the pauses are a tenth of its age.",
    )
    poll_max_seconds: float = Field(
        default=600.0,
        ge=0.05,
        description="The longest time without a question about a job that is not overdue, whatever has been measured.",
    )
    poll_overdue_seconds: float = Field(
        default=600.0, ge=1, description="The pause between polls of a job that is past its deadline."
    )
    poll_batch_max: int = Field(
        default=50, ge=1, le=500, description="So many jobs may share one poll message when many polls are due."
    )
    poll_concurrency: int = Field(
        default=16,
        ge=1,
        le=100,
        description="So many jobs of such a message are asked about at once, by each worker process.",
    )
    job_deadline_seconds: float = Field(
        default=1800.0,
        gt=0,
        description="When a job that names no deadline of its own is reported as overdue. It goes on nevertheless.",
    )
    job_retention_seconds: float = Field(
        default=30 * 86_400.0,
        ge=7 * 86_400,
        description="How long a finished job and its idempotency key are kept; longer than webhooks are tried.",
    )
    preflight: bool = Field(
        default=True,
        description="`true` or `false`: whether the first bytes of `image` and `mask` are looked at before a job is "
        "submitted, so that a bad source fails it before it can cost money.",
    )
    source_timeout_seconds: float = Field(
        default=10.0, gt=0, le=120, description="Total time for looking at one source image."
    )
    source_max_bytes: int = Field(
        default=30_000_000,
        gt=0,
        description="A source image that announces more bytes than this is refused. The provider's own limit is not "
        "known.",
    )
    result_max_bytes: int = Field(
        default=50_000_000,
        gt=0,
        le=5_000_000_000,
        description="A result image larger than this is refused while it is being read. At the most what one PUT to S3 "
        "may carry.",
    )
    result_max_pixels: int = Field(
        default=40_000_000,
        gt=0,
        le=178_000_000,
        description="A result image with more pixels is refused before decoding.",
    )
    result_timeout_seconds: float = Field(default=120.0, gt=0, description="Total time for fetching one result image.")
    copy_concurrency: int = Field(
        default=16,
        ge=1,
        le=100,
        description="So many images of jobs with several are copied at once, by each worker process; `1` copies the "
        "images of a job one after the other.",
    )
    provenance: str = Field(
        default="keep",
        pattern="^(keep|embed)$",
        description="`keep` stores results byte for byte as they came; `embed` writes into each that its background "
        "was generated (IPTC `DigitalSourceType`, as XMP), and leaves the pixels and all other metadata alone.",
    )
    renditions: tuple[str, ...] = Field(
        default=(),
        description="Further files that are made of each result, separated by spaces: `thumbnail` (WEBP, at most 320 "
        "pixels a side) and `webp` (in full size).",
    )
    url_lifetime_seconds: float = Field(
        default=86_400.0,
        ge=3600,
        le=604_800,
        description="How long presigned URLs work (S3 allows seven days at the most).",
    )
    log_format: str = Field(default="json", pattern="^(json|console)$", description="`json` or `console`.")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR."
    )

    @field_validator("allow_hosts", "renditions", "webhook_secret", "webhook_endpoint_key", mode="before")
    @classmethod
    def _split_words(cls, value: Any) -> Any:
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("submit_rate", "query_rate", "max_in_flight", "disk_wait_seconds", mode="before")
    @classmethod
    def _read_none(cls, value: Any) -> Any:
        return None if isinstance(value, str) and value.strip().lower() == "none" else value

    @field_validator("renditions")
    @classmethod
    def _check_renditions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not set(value) <= {"thumbnail", "webp"}:
            raise ValueError("the words `thumbnail` and `webp` are known")
        return tuple(sorted(set(value)))

    @field_validator("unknown_outcome")
    @classmethod
    def _check_unknown_outcome(cls, value: str, others: ValidationInfo) -> str:
        if {"nonce_contract", "nonce_window_seconds"} <= set(others.data):
            UnknownOutcomePolicy.parse(
                value,
                nonce_contract=others.data["nonce_contract"],
                nonce_window_seconds=others.data["nonce_window_seconds"],
            )
        return value

    @field_validator("webhook_url")
    @classmethod
    def _check_webhook_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"https?://[^\s/@]+(/|$)", value.get_secret_value()):
            raise ValueError("an absolute http or https URL without user name or password is needed")
        return value

    @property
    def unknown_outcome_policy(self) -> UnknownOutcomePolicy:
        """What is done about a submission that may have been charged."""
        return UnknownOutcomePolicy.parse(
            self.unknown_outcome, nonce_contract=self.nonce_contract, nonce_window_seconds=self.nonce_window_seconds
        )

    @property
    def spool_path(self) -> Path | None:
        """The spool's directory, if there is to be one."""
        return None if self.spool_directory.strip().lower() == "none" else Path(self.spool_directory)

    @property
    def spill_path(self) -> Path | None:
        """The directory of images that the store does not take, if there is to be one."""
        return None if self.spill_directory.strip().lower() == "none" else Path(self.spill_directory)

    @property
    def effective_broker_url(self) -> str:
        """The broker's URL, password included."""
        if self.broker_url is not None:
            return self.broker_url.get_secret_value()
        # Redis clients and Celery's call a socket by different names.
        return re.sub(r"^unix://", "redis+socket://", self.redis_url.get_secret_value())

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings that these variables give.

        Raises:
            ConfigurationError: a variable is unknown or its value is wrong; the text names it and the remedy.
        """
        values = {
            field: value
            for variable, raw in (os.environ if environ is None else environ).items()
            if variable.startswith(PREFIX) and raw != ""
            for field, value in [_read_variable(variable, raw)]
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigurationError(_explain(error)) from None


def _read_variable(variable: str, raw: str) -> tuple[str, str]:
    name = variable.removeprefix(PREFIX).lower()
    if name in Settings.model_fields:
        return name, raw
    if (field := name.removesuffix("_file")) in Settings.model_fields:
        try:
            return field, Path(raw).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            # Somebody may have put the secret itself here: only what looks like a path is repeated.
            named = repr(raw) if raw.startswith(("/", "./", "../")) else "that it names"
            raise ConfigurationError(f"{variable}: the file {named} cannot be read ({type(error).__name__})") from None
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.0)[0]
    raise ConfigurationError(f"{variable} is not a setting; the nearest is {nearest} (docs/reference/settings.md)")


def _explain(error: ValidationError) -> str:
    """One line per wrong setting. Values are left out: they may be secrets."""
    return "; ".join(
        f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}" for problem in error.errors(include_input=False)
    )


@cache
def current_settings() -> Settings:
    """This process's settings, read from the environment on first use."""
    return Settings.from_env()
