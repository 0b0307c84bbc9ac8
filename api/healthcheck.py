"""python -m api.healthcheck: exits with 0 when the API on this machine answers, 1 otherwise."""

import sys
import urllib.request

from core.settings import get_settings


def main() -> int:
    url = f"http://127.0.0.1:{get_settings().port}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return 0 if answer.status == 200 else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main())
