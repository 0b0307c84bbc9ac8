"""All settings, from QUARTERTURN_* environment variables (and *_FILE for secrets)."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

GIB = 1 << 30
SHORTEST_ADMIN_KEY = 32  # characters of QUARTERTURN_ADMIN_KEY: people choose it, so its length is checked
EMBEDDED = "filesystem://"  # the broker of the embedded mode: files in the data folder


class Settings(BaseSettings):
    """Defaults are the embedded mode's: SQLite, kombu's filesystem transport, loopback."""

    model_config = SettingsConfigDict(env_prefix="QUARTERTURN_", extra="ignore")

    data: Path = Field(Path("data"), description="folder of everything that is kept")
    database_url: str = Field("", description="empty: SQLite in the data folder")
    database_password_file: Path | None = None
    broker_url: str = Field("", description="empty: kombu's filesystem transport in the data folder")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    public_url: str = Field("", description="https://… when a proxy ends TLS; empty: http://host:port")
    admin_key: str = Field("", description="an API key of the operator's own; used when set")
    admin_key_file: Path | None = None

    lease_seconds: float = Field(45.0, gt=0, description="a worker that is silent this long has lost its work")
    trusted_proxies: str = Field("", description="addresses whose X-Forwarded-For is believed; none: of nobody")
    log_format: Literal["text", "json"] = Field("text", description="of the log's lines")
    reconcile_seconds: float = Field(5.0, gt=0, description="how often doorbells are rung for open and expired work")
    stop_seconds: float = Field(20.0, ge=0, description="a worker that shall end gives back what takes it longer")
    max_attempts: int = Field(5, ge=1, description="claims of one piece of work before it fails")
    repin_seconds: float = Field(
        60.0, gt=0, description="without a worker of an analysis's fingerprint this long, restart"
    )
    worker_silent_seconds: float = Field(20.0, gt=0, description="a worker not heard of this long is away")
    regions_per_band: int = Field(6, ge=1, description="about five seconds of work on two cores")

    retry_seconds: float = Field(1.0, gt=0, description="pause after a worker's first fault; it doubles")
    import_dir: Path | None = Field(None, description="folder of slides that may be named by reference; none: refused")
    upload_max_bytes: int = Field(64 * GIB, gt=0)
    upload_expires_hours: float = Field(24.0, gt=0)
    upload_silent_seconds: float = Field(
        60.0, gt=0, description="a PATCH from which nothing comes for so long is ended"
    )
    min_free_bytes: int = Field(GIB, ge=0, description="free space that an upload must leave")
    keep_days: float = Field(0, ge=0, description="days after its last change or analysis a slide goes; 0: never")
    quota_bytes: int = Field(0, ge=0, description="of uploads that one principal may keep here; 0: no limit")
    quota_slides: int = Field(0, ge=0, description="that one principal may keep, rejected ones too; 0: no limit")
    quota_analyses: int = Field(0, ge=0, description="that one principal may have under way; 0: no limit")
    requests_per_second: float = Field(50.0, ge=0, description="of one visitor, in the long run; 0: no limit")
    request_burst: int = Field(300, ge=1, description="of one visitor, at once; tiles are not counted")
    head_seconds: float = Field(20.0, gt=0, description="in which a request's line and headers must have come")
    published_locally: bool = Field(
        False, description="the address beyond loopback is a container's, published on this machine's loopback alone"
    )
    session_hours: float = Field(12.0, gt=0)
    link_minutes: float = Field(10.0, gt=0, description="how long a one-time sign-in link lives")
    reader_seconds: float = Field(60.0, gt=0, description="wall clock of one answer of a slide reader")
    inspect_seconds: float = Field(600.0, gt=0, description="wall clock of the inspection of one slide")
    reader_memory_bytes: int = Field(4 * GIB, gt=0)
    reading: Literal["scaled", "exact"] = Field(
        "scaled", description="a missing 10× level: JPEG tiles decoded at ½ or ¼, or all pixels decoded and averaged"
    )
    model: str = "p4m-densenet"
    weights_dir: Path | None = Field(None, description="folder of other weights than the shipped ones")
    offer_rivals: bool = Field(True, description="offer the networks that are shipped for comparison, too")
    backend: Literal["torch", "openvino"] = Field("torch", description="what computes; OpenVINO on a CPU, if installed")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="bfloat16: faster, its drift is stated")
    threads: int = Field(0, ge=0, description="CPU threads of a worker's network; 0: all cores")

    def database(self) -> str:
        """The SQLAlchemy URL; the password comes from its file when one is named."""
        if not self.database_url:
            return f"sqlite:///{(self.data / 'quarterturn.db').resolve()}"
        if self.database_password_file is None:
            return self.database_url
        password = self.database_password_file.read_text().strip()
        return self.database_url.replace("@", f":{quote(password, safe='')}@", 1)

    def broker(self) -> str:
        return self.broker_url or EMBEDDED

    def admin_secret(self) -> str:
        """The operator's own admin key, or nothing."""
        return self.admin_key_file.read_text().strip() if self.admin_key_file else self.admin_key

    def base_url(self) -> str:
        """Where users find the service."""
        return self.public_url.rstrip("/") or self.local_url()

    def local_url(self) -> str:
        """Where the API itself listens."""
        return f"http://{self.host}:{self.port}"

    def network_threads(self) -> int:
        return self.threads or len(os.sched_getaffinity(0))


@lru_cache
def get_settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
