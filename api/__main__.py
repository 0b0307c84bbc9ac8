"""python -m api: serve, on the address that the settings name."""

import contextlib
import ipaddress
import sys

import uvicorn

from api.edge.connections import BoundedHeads
from core import logs
from core.settings import Settings, get_settings

GRACE_SECONDS = 5
BEYOND = """The API refuses to listen on {host}, which others can reach, without TLS and users. Set
  QUARTERTURN_PUBLIC_URL=https://…          the address under which a TLS proxy offers it
  QUARTERTURN_TRUSTED_PROXIES=…             that proxy's own address
  QUARTERTURN_ADMIN_KEY_FILE=…              a file with the administrator's key
or QUARTERTURN_PUBLISHED_LOCALLY=true where a container's port is published on this machine's loopback alone,
or QUARTERTURN_HOST=127.0.0.1."""


def may_listen(settings: Settings) -> bool:
    """Loopback always; beyond it behind a named TLS proxy with an administrator, or published on loopback alone."""
    with contextlib.suppress(ValueError):  # a name may lead anywhere
        if settings.host == "localhost" or ipaddress.ip_address(settings.host).is_loopback:
            return True
    behind_tls = settings.public_url.startswith("https://") and bool(settings.trusted_proxies)
    return bool(settings.admin_secret()) and (behind_tls or settings.published_locally)


def main() -> None:
    settings = get_settings()
    if not may_listen(settings):
        sys.exit(BEYOND.format(host=settings.host))
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
