"""All settings, read from QUARTERTURN_* environment variables. Secrets can be read from files (…_FILE) instead."""

import os
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.addresses import clean_origins, clean_prefix

ROOT = Path(__file__).resolve().parent.parent
GIB = 1 << 30
SHORTEST_ADMIN_KEY = 32  # characters of QUARTERTURN_ADMIN_KEY: people choose it, so its length is checked
EMBEDDED = "filesystem://"  # broker URL of the embedded mode: messages are files in the data folder


class Settings(BaseSettings):
    """The defaults are those of the embedded mode: SQLite, messages in files, loopback only."""

    model_config = SettingsConfigDict(env_prefix="QUARTERTURN_", extra="ignore")

    # where it runs
    data: Path = Field(Path("data"), description="folder of slides and, in the embedded mode, database and messages")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in the data folder")
    database_password_file: Path | None = Field(None, description="file with the password that the URL leaves out")
    broker_url: str = Field("", description="redis://…; empty: messages as files in the data folder")
    host: str = Field("127.0.0.1", description="address that the API listens on")
    port: int = Field(8000, ge=1, le=65535, description="port that the API listens on")
    public_url: str = Field("", description="https://… when a proxy terminates TLS; empty: http://host:port")
    root_path: str = Field(
        "", description="path prefix of the service behind a proxy, such as /quarterturn; empty: the path of public_url"
    )
    trusted_proxies: str = Field("", description="addresses whose X-Forwarded-For is trusted; empty: none")
    published_locally: bool = Field(
        False, description="the API runs in a container whose port is published on the host's loopback only"
    )
    log_format: Literal["text", "json"] = Field("text", description="form of the log lines")

    # access
    admin_key: str = Field("", description="an API key of the operator's own, at least 32 characters")
    admin_key_file: Path | None = Field(None, description="file with that key")
    session_hours: float = Field(12.0, gt=0, description="lifetime of a browser session")
    link_minutes: float = Field(10.0, gt=0, description="lifetime of a one-time sign-in link")
    requests_per_second: float = Field(50.0, ge=0, description="of one visitor, sustained; 0: no limit")
    request_burst: int = Field(300, ge=1, description="of one visitor, at once; tiles do not count")
    head_seconds: float = Field(20.0, gt=0, description="time limit for the line and headers of a request")

    cors_origins: str = Field(
        "", description="origins whose pages may call the API with a key, separated by commas; empty: none"
    )

    # work
    lease_seconds: float = Field(45.0, gt=0, description="a worker that does not renew a claim this long loses it")
    reconcile_seconds: float = Field(5.0, gt=0, description="interval of the doorbells for open and expired work")
    stop_seconds: float = Field(20.0, ge=0, description="grace period on SIGTERM before unfinished work is released")
    max_attempts: int = Field(5, ge=1, description="claims of one work row before it fails")
    retry_seconds: float = Field(1.0, gt=0, description="pause of a row after its first fault; doubles with each")
    repin_seconds: float = Field(
        60.0, gt=0, description="an analysis without a worker of its fingerprint this long is restarted"
    )
    worker_silent_seconds: float = Field(20.0, gt=0, description="a worker without a heartbeat this long is offline")
    regions_per_band: int = Field(6, ge=1, description="region images in one band: about five seconds on two cores")

    # uploads and storage
    import_dir: Path | None = Field(None, description="folder of slides that may be added by reference; unset: none")
    upload_max_bytes: int = Field(64 * GIB, gt=0, description="largest slide that can be uploaded")
    upload_expires_hours: float = Field(24.0, gt=0, description="an upload without a PATCH this long expires")
    upload_silent_seconds: float = Field(60.0, gt=0, description="a PATCH that sends no byte this long is ended")
    min_free_bytes: int = Field(GIB, ge=0, description="free space that uploads must leave on the disk")
    keep_days: float = Field(0, ge=0, description="slides unchanged and unused this long are deleted; 0: never")
    quota_bytes: int = Field(0, ge=0, description="bytes of uploads per principal; 0: no limit")
    quota_slides: int = Field(0, ge=0, description="slides per principal, rejected ones included; 0: no limit")
    quota_analyses: int = Field(0, ge=0, description="analyses under way per principal; 0: no limit")

    # readers
    reader_seconds: float = Field(60.0, gt=0, description="time limit for one answer of a slide reader")
    inspect_seconds: float = Field(600.0, gt=0, description="time limit for the inspection of one slide")
    reader_memory_bytes: int = Field(4 * GIB, gt=0, description="memory of one slide reader")
    reading: Literal["scaled", "exact"] = Field(
        "scaled", description="a missing 10× level: JPEG tiles decoded at ½ or ¼, or all pixels decoded and averaged"
    )

    # networks
    model: str = Field("p4m-densenet", description="network of an analysis that names none")
    weights_dir: Path | None = Field(None, description="folder of weights that replace the shipped ones")
    offer_rivals: bool = Field(True, description="offer the networks that are shipped for comparison, too")
    most_unfamiliar: float = Field(
        0.9, ge=0, le=1, description="results are withheld where more of the tissue is unlike the training patches"
    )
    backend: Literal["torch", "openvino"] = Field("torch", description="engine; OpenVINO runs on a CPU, if installed")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16 is faster; its drift from float32 is stated"
    )
    threads: int = Field(0, ge=0, description="CPU threads of a worker's network; 0: all cores")

    _clean_root_path = field_validator("root_path")(clean_prefix)
    _clean_cors_origins = field_validator("cors_origins")(clean_origins)

    @model_validator(mode="after")
    def _prefixes_agree(self) -> Self:
        of_url = clean_prefix(urlsplit(self.public_url).path)
        if of_url and self.root_path and of_url != self.root_path:
            raise ValueError("QUARTERTURN_PUBLIC_URL and QUARTERTURN_ROOT_PATH name different path prefixes")
        return self

    def database(self) -> str:
        """Returns the SQLAlchemy URL, with the password from its file if one is set."""
        if not self.database_url:
            return f"sqlite:///{self.database_file()}"
        if self.database_password_file is None:
            return self.database_url
        password = self.database_password_file.read_text().strip()
        return self.database_url.replace("@", f":{quote(password, safe='')}@", 1)

    def database_file(self) -> Path:
        """Returns the SQLite file of the embedded mode."""
        return (self.data / "quarterturn.db").resolve()

    def broker(self) -> str:
        """Returns the broker's URL for Celery."""
        return self.broker_url or EMBEDDED

    def admin_secret(self) -> str:
        """Returns the operator's own admin key; "" when none is set."""
        return self.admin_key_file.read_text().strip() if self.admin_key_file else self.admin_key

    def base_url(self) -> str:
        """Returns the URL that users open, without a slash at its end."""
        base = urlsplit(self.public_url or self.local_url())
        return f"{base.scheme}://{base.netloc}{quote(self.prefix())}"

    def prefix(self) -> str:
        """Returns the path prefix under which a proxy offers the service, decoded: "" or "/one/two"."""
        return self.root_path or clean_prefix(urlsplit(self.public_url).path)

    def origins(self) -> frozenset[str]:
        """Returns the origins whose pages may call the API."""
        return frozenset(filter(None, self.cors_origins.split(",")))

    def local_url(self) -> str:
        """Returns the URL that the API listens on, for clients on this machine."""
        return f"http://{self.host}:{self.port}"

    def network_threads(self) -> int:
        """Returns the CPU threads of a worker's network: by default, the cores that this process may run on."""
        return self.threads or len(os.sched_getaffinity(0))


def version() -> str:
    """Returns the version of the program. It stands in pyproject.toml alone, which the image contains, too.

    Not from the installed package's metadata: those are of the last `pip install`, and a newer checkout keeps them.
    """
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def read_dotenv(path: Path) -> None:
    """Sets the QUARTERTURN_* variables of a file of KEY=value lines, except those that the environment has already."""
    lines = path.read_text().splitlines() if path.is_file() else []
    for line in lines:
        name, _, value = line.partition("=")
        if name.startswith("QUARTERTURN_") and value.strip():
            os.environ.setdefault(name.strip(), value.strip())


def describe_errors(error: ValidationError) -> str:
    """Returns one sentence per wrong setting, without its value: it may be a secret."""
    return "\n".join(_describe(one["loc"], one["msg"].removeprefix("Value error, ")) for one in error.errors())


def _describe(place: tuple[int | str, ...], message: str) -> str:
    """`place` is empty where settings contradict each other: the message names them."""
    return f"QUARTERTURN_{str(place[0]).upper()} is not valid: {message}." if place else f"{message}."


@lru_cache
def get_settings() -> Settings:
    """Returns the settings of this process, read once."""
    return Settings()
