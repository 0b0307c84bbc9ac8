"""python -m api: serve, on the address that the settings name."""

import uvicorn

from core import logs
from core.settings import get_settings

GRACE_SECONDS = 5


def main() -> None:
    settings = get_settings()
    logs.configure("api")
    uvicorn.run(
        "api.app:app",
        host=settings.host,
        port=settings.port,
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
