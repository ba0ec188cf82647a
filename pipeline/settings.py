"""Environment to one frozen Settings. The only place that reads BURNLINE_* variables.

Secrets come from files or the environment and never appear in a log, a topic or a page.
"""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every knob, with its unit in its name. `burnline doctor --settings` prints them."""

    model_config = SettingsConfigDict(env_prefix="BURNLINE_", frozen=True, extra="ignore")

    kafka_brokers: str = Field("127.0.0.1:9092", description="bootstrap servers, comma separated")
    kafka_security_protocol: str = Field("PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
    kafka_sasl_mechanism: str | None = Field(None, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    kafka_sasl_username: str | None = Field(None, description="SASL user")
    kafka_sasl_password_file: Path | None = Field(None, description="file that holds the SASL password")
    kafka_ssl_cafile: Path | None = Field(None, description="CA certificates; the system's when unset")
    kafka_ssl_certfile: Path | None = Field(None, description="client certificate")
    kafka_ssl_keyfile: Path | None = Field(None, description="client key")
    schema_registry_url: str | None = Field(None, description="Confluent-compatible registry; unset: single-object framing")
    clickhouse_url: str = Field("clickhouse://127.0.0.1:9000/burnline", description="native protocol; user in the URL")
    clickhouse_password: SecretStr | None = Field(None, description="prefer the file")
    clickhouse_password_file: Path | None = Field(None, description="file that holds ClickHouse's password")
    slo_dir: Path = Field(Path("slo"), description="directory of SLO files (*.yaml)")
    topic_prefix: str = Field("", description="put in front of every topic name")
    group: str = Field("burnline", description="prefix of consumer groups and transactional ids")
    data_dir: Path = Field(Path(".burnline"), description="embedded servers, compiled kernels")
    steps: str = Field("ingest,judge,store", description="which agents this worker runs, comma separated")
    grace_s: float = Field(2.0, ge=0, description="wait for stragglers behind the greatest event time")
    unit_s: float = Field(1.0, gt=0, description="longest unit of ingest: one transaction per partition and unit")
    unit_bytes: int = Field(64 << 20, description="largest unit of ingest, in bytes of record batches")
    store_batch_s: float = Field(2.0, gt=0, description="length of the store's batches")
    source_idle_s: float = Field(3.0, gt=0, description="a source partition read to its end and silent so long no longer holds the watermark")
    source_silence_s: float = Field(300.0, gt=0, description="longer silence of every source is unmeasured time")
    limit_series: int = Field(20_000, gt=0, description="distinct series a partition; more are counted as `other`")
    limit_instances: int = Field(10_000, gt=0, description="SLO instances; more are counted as `other`")
    limit_label_bytes: int = Field(256, gt=0, description="longest label value")
    limit_event_bytes: int = Field(1 << 20, gt=0, description="largest event; larger ones are dead letters")
    http_bind: str = Field("127.0.0.1:0", description="address of metrics and health")
    http_token_file: Path | None = Field(None, description="bearer token, needed off loopback")
