"""The viewer's types of the HTTP API are generated from the API's own OpenAPI document, and are not stale."""

import json
import subprocess

from api.describe import document

GENERATE = ["node_modules/.bin/openapi-typescript", "--root-types", "--root-types-no-schema-prefix"]


def test_the_committed_types_are_those_of_the_document(repository):
    frontend = repository / "frontend"
    source = json.dumps(document(), indent=1, sort_keys=True)
    generated = subprocess.run(GENERATE, cwd=frontend, input=source, capture_output=True, text=True, check=True)
    committed = (frontend / "static" / "shared" / "api.d.ts").read_text()
    assert generated.stdout.strip() == committed.strip(), "stale: run `make types`"
