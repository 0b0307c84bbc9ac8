"""Other people's software, run by an interpreter of its own: `make bench-peers` installs what will install."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PYTHON = Path(os.environ.get("QUARTERTURN_PEERS", HERE.parent.parent / ".venv-peers")) / "bin" / "python"


def ask(script: str, *arguments: str | int | Path) -> dict[str, Any]:
    """What a script of this folder prints as JSON; {"error": …} where it cannot run."""
    if not PYTHON.exists():
        return {"error": "make bench-peers was not run"}
    command = [str(PYTHON), str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    try:
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError):
        return {"error": (done.stderr.strip().splitlines() or ["it printed nothing"])[-1][:120]}
