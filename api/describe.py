"""python -m api.describe: print the OpenAPI document as JSON, for generators of clients and types (`make types`)."""

import json
import sys
from typing import Any

from api.app import create_api
from api.tiles.open_files import SlideFiles


def document() -> dict[str, Any]:
    """The OpenAPI document, built without a database or a running service."""
    return create_api(SlideFiles()).openapi()


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1, sort_keys=True)
