"""python -m api: serves on the address of the settings."""

import contextlib
import ipaddress
import sys

import uvicorn
from pydantic import ValidationError

from api.edge.connections import BoundedHeads
from core import logs
from core.settings import Settings, describe_errors, get_settings

GRACE_SECONDS = 5
REFUSAL = """The API does not listen on {host}, which other machines can reach, without TLS and users. Set
  QUARTERTURN_PUBLIC_URL=https://…          the address under which a TLS proxy offers it
  QUARTERTURN_TRUSTED_PROXIES=…             that proxy's own address
  QUARTERTURN_ADMIN_KEY_FILE=…              a file with the administrator's key
or QUARTERTURN_PUBLISHED_LOCALLY=true where a container's port is published on this machine's loopback alone,
or QUARTERTURN_HOST=127.0.0.1."""


def may_listen(settings: Settings) -> bool:
    """Whether the address is loopback, or users and TLS protect what lies beyond it.

    That is: an administrator's key, and a TLS proxy that is named or a port that is published on loopback alone.
    """
    with contextlib.suppress(ValueError):  # a host name may resolve to any address
        if settings.host == "localhost" or ipaddress.ip_address(settings.host).is_loopback:
            return True
    behind_tls = settings.public_url.startswith("https://") and bool(settings.trusted_proxies)
    return bool(settings.admin_secret()) and (behind_tls or settings.published_locally)


def main() -> None:
    try:
        settings = get_settings()
    except ValidationError as error:
        sys.exit(describe_errors(error))
    if not may_listen(settings):
        sys.exit(REFUSAL.format(host=settings.host))
    logs.configure("api")
    uvicorn.run(
        "api.app:app",
        host=settings.host,
        port=settings.port,
        http=BoundedHeads,
        access_log=False,
        log_level="warning",
        log_config=None,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
