"""Environment to one frozen Settings. The only place that reads BURNLINE_* variables.

Secrets come from files or the environment and never appear in a log, a topic or a page. Refuses combinations
that cannot work, and says which variable to set; refuses to know who uses which field.
"""

from pathlib import Path
from typing import Literal, NamedTuple, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "BURNLINE_"
STEPS = ("ingest", "judge", "store", "deliver", "control")


Secret = Literal[
    "kafka_sasl_password", "clickhouse_password", "clickhouse_admin_password", "http_token", "http_write_token"
]


class SettingsError(ValueError):
    """A setting that cannot be used; the message says which, and what to do."""


class Settings(BaseSettings):
    """Every knob, with its unit in its name. `burnline doctor --settings` prints them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # what is wrong with one variable would otherwise print them all, passwords too
    )

    kafka_brokers: str = Field("127.0.0.1:9092", description="bootstrap servers, comma separated")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "PLAIN", description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
    )
    kafka_sasl_username: str | None = Field(None, description="SASL user; with OAUTHBEARER the client id")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password; prefer the file")
    kafka_sasl_password_file: Path | None = Field(
        None, description="file that holds the SASL password; with OAUTHBEARER the client secret"
    )
    kafka_sasl_token_file: Path | None = Field(
        None, description="file that holds a token for OAUTHBEARER, read again before the token expires"
    )
    kafka_sasl_token_url: str | None = Field(
        None, description="OAuth 2 token endpoint: client id and secret are exchanged for a token there"
    )
    kafka_sasl_scope: str | None = Field(None, description="scope to ask the token endpoint for")
    kafka_ssl_cafile: Path | None = Field(None, description="CA certificates; the system's when unset")
    kafka_ssl_certfile: Path | None = Field(None, description="client certificate")
    kafka_ssl_keyfile: Path | None = Field(None, description="client key")
    schema_registry_url: str | None = Field(
        None, description="Confluent-compatible registry; unset: single-object framing"
    )
    clickhouse_url: str = Field(
        "clickhouse://burnline_writer@127.0.0.1:9000/burnline", description="native protocol; user in the URL"
    )
    clickhouse_password: SecretStr | None = Field(None, description="ClickHouse password; prefer the file")
    clickhouse_password_file: Path | None = Field(None, description="file that holds ClickHouse's password")
    clickhouse_admin_username: str | None = Field(
        None, description="user who may change tables, for `burnline migrate`; unset: the URL's"
    )
    clickhouse_admin_password: SecretStr | None = Field(None, description="its password; prefer the file")
    clickhouse_admin_password_file: Path | None = Field(None, description="file that holds its password")
    clickhouse_cluster: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_.-]*$",
        description="cluster whose servers share the tables, as their remote_servers name it, for `burnline migrate`; "
        "empty: one server",
    )
    slo_dir: Path = Field(Path("slo"), description="directory of SLO files (*.yaml)")
    slo_reload_s: float = Field(
        10.0, ge=0, description="between looks at the SLO files, whose changes need no restart; 0: never"
    )
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="put in front of every topic name")
    group: str = Field("burnline", min_length=1, description="prefix of consumer groups and transactional ids")
    data_dir: Path = Field(
        Path(".burnline"),
        description="embedded servers, compiled kernels, what a worker's successor needs: on a disk of its own",
    )
    kernel_cache: Path | None = Field(
        None, description="directory of compiled kernels, which workers may share; unset: in the data directory"
    )
    steps: str = Field(",".join(STEPS), description="which agents this worker runs, comma separated")
    session_timeout_s: float = Field(30.0, ge=6, description="a worker that is silent for so long loses its partitions")
    grace_s: float = Field(2.0, ge=0, description="wait for stragglers behind the greatest event time")
    unit_s: float = Field(1.0, gt=0, description="longest unit of ingest: a transaction per partition and unit")
    unit_bytes: int = Field(16 << 20, gt=0, description="largest unit of ingest, in bytes of record batches")
    queue_bytes: int = Field(
        64 << 20, ge=1 << 20, description="what ingest has read and not yet folded, inflated; more waits in Kafka"
    )
    store_batch_s: float = Field(2.0, gt=0, description="length of the store's batches")
    events_archive: Literal["off", "sample", "all"] = Field(
        "sample", description="events kept whole in ClickHouse: off, sample (those bad for an SLO, and a share), or all"
    )
    events_sample_ratio: float = Field(0.01, ge=0, le=1, description="share kept of the events that are bad for no SLO")
    ttl_slices_10s_d: int = Field(8, ge=1, description="days that ClickHouse keeps 10 s slices of series")
    ttl_slices_1m_d: int = Field(40, ge=1, description="days that ClickHouse keeps 1 min slices of series")
    ttl_slices_1h_d: int = Field(800, ge=1, description="days that ClickHouse keeps 1 h slices of series")
    ttl_counts_10s_d: int = Field(40, ge=1, description="days that ClickHouse keeps 10 s counts of SLO instances")
    ttl_counts_1m_d: int = Field(
        120, ge=120, description="days that ClickHouse keeps 1 min counts of SLO instances, which corrections need"
    )
    ttl_counts_1h_d: int = Field(800, ge=120, description="days that ClickHouse keeps 1 h counts of SLO instances")
    ttl_events_d: int = Field(7, ge=1, description="days that ClickHouse keeps events kept whole")
    ttl_alerts_d: int = Field(800, ge=1, description="days that ClickHouse keeps alerts")
    ttl_changes_d: int = Field(800, ge=1, description="days that ClickHouse keeps changes of services")
    ttl_signals_d: int = Field(40, ge=1, description="days that ClickHouse keeps what controls said")
    ttl_snapshots_d: int = Field(7, ge=1, description="days that ClickHouse keeps snapshots of engines")
    ttl_dead_letters_d: int = Field(30, ge=1, description="days that ClickHouse keeps dead letters")
    source_idle_s: float = Field(
        3.0,
        gt=0,
        description="a source partition read to its end and silent so long no longer holds the watermark",
    )
    source_silence_s: float = Field(300.0, gt=0, description="longer silence of every source is unmeasured time")
    duplicates_window_s: int = Field(
        0, ge=0, le=86_400, description="events whose event_id came before within it are left out; 0: all count"
    )
    limit_series: int = Field(20_000, gt=0, description="distinct series a partition; more are counted as `other`")
    limit_instances: int = Field(10_000, gt=0, description="SLO instances; more are counted as `other`")
    limit_label_bytes: int = Field(256, gt=0, description="longest label value")
    limit_attributes: int = Field(
        64, ge=0, description="entries of an event's `attributes`; an event with more is a dead letter"
    )
    limit_open_slices: int = Field(
        1 << 18,
        ge=1 << 12,
        le=1 << 20,
        description="seconds of series that a unit of ingest counts at once; a fuller one is taken in pieces",
    )
    limit_events_kept: int = Field(
        1_000, ge=0, description="bad events that a unit of ingest keeps whole; of more, a share is kept"
    )
    limit_event_bytes: int = Field(1 << 20, gt=0, description="largest event; larger ones are dead letters")
    limit_batch_bytes: int = Field(
        256 << 20, gt=0, description="largest record batch once decompressed; a larger one is one dead letter"
    )
    limit_event_ids: int = Field(
        250_000,
        gt=0,
        le=1 << 24,
        description="event ids that a source partition remembers, for 24 to 48 bytes each; more push out the oldest",
    )
    limit_block_bytes: int = Field(
        4 << 20, gt=0, le=4 << 20, description="largest block of counts or slices; larger units write several"
    )
    limit_waiting: int = Field(
        500_000,
        gt=0,
        description="seconds of SLO instances that wait for the watermark in a judge partition, for 40 bytes each; "
        "past it the earliest are judged without waiting",
    )
    limit_statuses: int = Field(
        250, gt=0, description="statuses a judge writes in a quarter of a second; more wait for the next"
    )
    limit_age_s: float = Field(
        0.0, ge=0, description="events that completed so long before they were appended are dead letters; 0: never"
    )
    limit_dead_letter_ratio: float = Field(
        0.5, gt=0, le=1, description="ingest stops when more of its records are dead letters; 1: never"
    )
    limit_dead_letter_records: int = Field(
        1_000, gt=0, description="records it takes before that ratio is judged; fewer never stop ingest"
    )
    limit_dead_letter_window_s: float = Field(60.0, ge=1, description="span within which that ratio is judged")
    limit_signals: int = Field(10_000, gt=0, description="signals that one control may publish; more are left out")
    limit_signals_kept: int = Field(
        50_000,
        gt=0,
        description="signals kept in memory, for 2.5 KB each, and in their topic; of more, what expired first goes",
    )
    limit_signal_series: int = Field(
        1_000, ge=0, le=10_000, description="signals that are series of /metrics; those of tenants are left out first"
    )
    limit_failures: int = Field(
        5, gt=0, description="failures of a step within two minutes that end the worker; fewer make the step anew"
    )
    limit_lag_s: float = Field(
        30.0, gt=0, description="the pipeline says that it lags when something waits, or event time trails, so long"
    )
    alert_routes: Path | None = Field(
        None, description="YAML file of receivers and routes of alerts; unset: one route to the three receivers below"
    )
    gate_policy: Path | None = Field(None, description="YAML file of the deploy gate's rules; unset: the shipped ones")
    controls_file: Path | None = Field(None, description="YAML file of what controls decide by; unset: the shipped one")
    alertmanager_url: str | None = Field(None, description="Alertmanager that is told of alerts")
    pagerduty_routing_key_file: Path | None = Field(
        None, description="file that holds the integration key of PagerDuty's Events API v2"
    )
    webhook_url: str | None = Field(None, description="webhook that is told of alerts as CloudEvents")
    webhook_secret_file: Path | None = Field(
        None, description="file that holds the secret by which what the webhook is sent is signed"
    )
    receivers_allow: str = Field(
        "", description="networks, comma separated, in which receivers may be though they are not public"
    )
    site_zone: str = Field(
        "UTC", description="time zone by whose clock load repeats itself, as Europe/Berlin, for forecasts"
    )
    site_country: str = Field(
        "",
        pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$",
        description="country whose holidays forecasts know, as DE, or DE-BW; empty: none",
    )
    http_bind: str = Field("127.0.0.1:0", description="address of metrics and health; port 0: any free one")
    http_token: SecretStr | None = Field(None, description="bearer token, needed off loopback; prefer the file")
    http_token_file: Path | None = Field(None, description="file that holds the bearer token")
    http_write_token: SecretStr | None = Field(
        None, description="bearer token of who may tell of changes over HTTP; prefer the file"
    )
    http_write_token_file: Path | None = Field(
        None, description="file that holds the token of who may tell of changes over HTTP; unset: nobody may"
    )
    http_write_on_loopback: bool = Field(
        False, description="whoever is on this machine may tell of changes, where no token is set at all"
    )

    keda_bind: str = Field(
        "", description="host:port at which KEDA's external scaler is served over gRPC; empty: it is not"
    )
    keda_tls_certfile: Path | None = Field(None, description="certificate of that port; unset: it speaks no TLS")
    keda_tls_keyfile: Path | None = Field(None, description="its key")
    keda_tls_cafile: Path | None = Field(
        None, description="certificates by which clients of that port are known, instead of the HTTP token"
    )

    @property
    def kernels_dir(self) -> Path:
        """Where compiled kernels and generated decoders are kept."""
        return (self.kernel_cache or self.data_dir / "kernels").resolve()

    @property
    def trailing_s(self) -> float:
        """How far event time trails in any case: grace, and the wait for idle sources."""
        return self.grace_s + self.source_idle_s

    @property
    def step_names(self) -> tuple[str, ...]:
        """The steps as a tuple, in the order given; nothing is delivered where there is nobody to tell."""
        return tuple(name for name in self._names_of_steps if self.has_receivers or name != "deliver")

    @property
    def _names_of_steps(self) -> tuple[str, ...]:
        return tuple(name for part in self.steps.split(",") if (name := part.strip()))

    @property
    def has_receivers(self) -> bool:
        """Whether somebody is to be told of alerts."""
        return any((self.alert_routes, self.alertmanager_url, self.pagerduty_routing_key_file, self.webhook_url))

    @property
    def takes_changes(self) -> bool:
        """Whether somebody may tell of changes over HTTP: who has the token, or anybody here where there is none."""
        has_token = bool(self.http_write_token or self.http_write_token_file)
        is_guarded = bool(self.http_token or self.http_token_file)
        return has_token or (self.http_write_on_loopback and not is_guarded)

    def secret(self, name: Secret) -> str:
        """Return a secret: its file's when there is one, else the variable's, else nothing.

        Raises: SettingsError when the file cannot be read or is empty.
        """
        file: Path | None = getattr(self, f"{name}_file")
        if file is not None:
            return secret_in(file, f"{PREFIX}{name.upper()}_FILE")
        value: SecretStr | None = getattr(self, name)
        return value.get_secret_value() if value else ""

    @model_validator(mode="after")
    def _steps_are_known(self) -> Self:
        unknown = [name for name in self._names_of_steps if name not in STEPS]
        if unknown or not self._names_of_steps:
            raise ValueError(f"{PREFIX}STEPS is {self.steps!r}: use some of {', '.join(STEPS)}")
        if not self.step_names:
            raise ValueError(f"{PREFIX}STEPS is {self.steps!r}, but nobody is to be told: set {PREFIX}ALERT_ROUTES")
        return self

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> Self:
        sasl, has_password = self.kafka_security_protocol.startswith("SASL_"), self._has_password
        if sasl and self.kafka_sasl_mechanism == "OAUTHBEARER":
            by_exchange = bool(self.kafka_sasl_token_url and has_password)
            if by_exchange == bool(self.kafka_sasl_token_file):
                raise ValueError(
                    f"{PREFIX}KAFKA_SASL_MECHANISM is OAUTHBEARER: set either {PREFIX}KAFKA_SASL_TOKEN_FILE, or "
                    f"{PREFIX}KAFKA_SASL_TOKEN_URL with {PREFIX}KAFKA_SASL_USERNAME (the client id) and "
                    f"{PREFIX}KAFKA_SASL_PASSWORD_FILE (its secret)"
                )
        elif sasl and not has_password:
            raise ValueError(
                f"{PREFIX}KAFKA_SECURITY_PROTOCOL is {self.kafka_security_protocol}: set "
                f"{PREFIX}KAFKA_SASL_USERNAME and {PREFIX}KAFKA_SASL_PASSWORD_FILE too"
            )
        if not sasl and (self.kafka_sasl_username or self.kafka_sasl_token_file):
            raise ValueError(
                f"{PREFIX}KAFKA_SASL_* is set, but {PREFIX}KAFKA_SECURITY_PROTOCOL is "
                f"{self.kafka_security_protocol}: the password or token would not be used; set SASL_SSL"
            )
        return self

    @property
    def _has_password(self) -> bool:
        return bool(self.kafka_sasl_username and (self.kafka_sasl_password or self.kafka_sasl_password_file))

    @model_validator(mode="after")
    def _zone_is_known(self) -> Self:
        try:
            ZoneInfo(self.site_zone)
        except (KeyError, ValueError, OSError) as error:  # nothing of that name; no name; a directory
            raise ValueError(f"{PREFIX}SITE_ZONE is {self.site_zone!r}: write a name such as Europe/Berlin") from error
        return self

    @model_validator(mode="after")
    def _addresses_hold_no_password(self) -> Self:
        if urlsplit(self.clickhouse_url).password:
            raise ValueError(
                f"{PREFIX}CLICKHOUSE_URL holds a password, and addresses are shown: put it into a file, and the "
                f"file's name into {PREFIX}CLICKHOUSE_PASSWORD_FILE"
            )
        return self

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        if (self.kafka_ssl_certfile is None) != (self.kafka_ssl_keyfile is None):
            raise ValueError(f"set both {PREFIX}KAFKA_SSL_CERTFILE and {PREFIX}KAFKA_SSL_KEYFILE, or neither")
        if (self.keda_tls_certfile is None) != (self.keda_tls_keyfile is None):
            raise ValueError(f"set both {PREFIX}KEDA_TLS_CERTFILE and {PREFIX}KEDA_TLS_KEYFILE, or neither")
        if self.keda_tls_cafile and not self.keda_tls_certfile:
            raise ValueError(
                f"{PREFIX}KEDA_TLS_CAFILE needs {PREFIX}KEDA_TLS_CERTFILE: without TLS nobody is known by it"
            )
        return self


def secret_in(file: Path, variable: str) -> str:
    """Read a secret from its file, without the newline at its end.

    Raises: SettingsError, which names the variable and never the contents.
    """
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise SettingsError(f"{variable}: {file} cannot be read: {reason}") from None
    if not text:
        raise SettingsError(f"{variable}: {file} is empty; write the secret into it")
    return text


def unusable(error: ValidationError) -> list[str]:
    """Say for each refused setting what is wrong; values are left out, since one may be a secret."""
    said = []
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        variable = "".join(f"{PREFIX}{str(part).upper()}: " for part in each["loc"][:1])
        said.append(variable + each["msg"].removeprefix("Value error, "))
    return said


class Documented(NamedTuple):
    """One line of the settings table."""

    variable: str
    default: str
    description: str


def documented() -> list[Documented]:
    """Every setting with its default and meaning. Reads no environment, so it can show no secret."""
    return [
        Documented(
            PREFIX + name.upper(),
            "" if field.default is None else str(field.default),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
