"""What an image would hold and how its services would be started, read from Dockerfile and docker-compose.yml.

No engine is needed: the copied files are laid out in an empty folder, and a service's very command runs there under a
user who is not root, with a Python that finds the installed packages and nothing else of this checkout.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

UID = 10001  # as in the Dockerfile
ONLY_READING = "-all,+dac_read_search"  # so that an interpreter in root's own folder can be read; nothing is written


@dataclass
class Stage:
    """One FROM of a Dockerfile: its base, what it copies from the build context, its command."""

    base: str
    copies: list[tuple[list[str], str]] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    user: str = ""


def stages(dockerfile):
    """The Dockerfile's stages by name."""
    parsed, stage = {}, None
    for line in dockerfile.read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            stage = parsed[name] = Stage(base)
        elif word == "COPY":
            *sources, target = rest.split()
            stage.copies.append((sources, target))
        elif word == "CMD":
            stage.command = json.loads(rest)
        elif word == "USER":
            stage.user = rest
    return parsed


def is_sent(path, dockerignore):
    """Whether the build context holds a path: the last line of .dockerignore that matches it or a parent decides."""
    parents = ["/".join(Path(path).parts[: i + 1]) for i in range(len(Path(path).parts))]
    included = True
    for line in dockerignore.read_text().split():
        pattern = line.removeprefix("!")
        if any(fnmatch(parent, pattern) or fnmatch("/" + parent, pattern.replace("**", "*")) for parent in parents):
            included = line.startswith("!")
    return included


def lay_out(repository, target, root):
    """Copies what the target's image copies, stage by stage, and nothing else."""
    stage_by_name = stages(repository / "Dockerfile")
    chain, name = [], target
    while name in stage_by_name:
        chain.append(stage_by_name[name])
        name = stage_by_name[name].base
    root.mkdir()
    for stage in reversed(chain):
        for sources, place in stage.copies:
            _copy(repository, sources, root / place)


def _copy(repository, sources, place):
    if sources[0].startswith("--from="):
        sources = [sources[1].removeprefix("/app/")]  # what a stage made, this checkout's set-up made too
    else:
        assert all(is_sent(source, repository / ".dockerignore") for source in sources), sources
    for source in sources:
        origin = repository / source
        if origin.is_dir():
            shutil.copytree(origin, place, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(origin, place)


def environment(compose, service, changes):
    """The service's environment of the compose file, with its hosts and mounts replaced."""
    settings = {name: str(value) for name, value in compose["services"][service]["environment"].items()}
    ours = {"PATH": os.environ["PATH"], "HOME": "/", "PYTHONPATH": sysconfig.get_paths()["purelib"]}
    theirs = re.compile(f"(?:{'|'.join(map(re.escape, changes))})(?!\\w)")
    for name, value in settings.items():
        value = theirs.sub(lambda parsed: changes[parsed[0]], value)
        settings[name] = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)
    return {**ours, **settings, "PYTHONDONTWRITEBYTECODE": "1"}


def as_other_user(command):
    """The command under a user who is not root, with the Python that the packages were installed for."""
    python = [sys._base_executable if word == "python" else word for word in command]
    if os.geteuid() != 0:
        return python
    plain = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]
    finds_itself = f"import sys; sys.exit(sys.base_prefix != {sys.base_prefix!r})"
    probe = subprocess.run([*plain, sys._base_executable, "-c", finds_itself], capture_output=True)
    powers = ONLY_READING if probe.returncode else "-all"
    return [*plain, f"--bounding-set={powers}", f"--inh-caps={powers}", f"--ambient-caps={powers}", *python]
