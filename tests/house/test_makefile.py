"""`make` reports a missing requirement in one sentence before it installs anything."""

import os
import re
import shutil
import subprocess

import pytest

NEEDED = ("make", "sh", "awk", "echo", "touch", "ls", "cat", "rm")


@pytest.fixture
def machine(repository, tmp_path):
    """A checkout's build files and a PATH with nothing but the shell's own programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in NEEDED:
        if shutil.which(name):
            (programs / name).symlink_to(shutil.which(name))
    checkout = tmp_path / "checkout"
    (checkout / "frontend").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "frontend/package-lock.json"):
        shutil.copy(repository / name, checkout / name)
    return checkout, programs


def offer(programs, name, script):
    (programs / name).write_text(f"#!/bin/sh\n{script}\n")
    (programs / name).chmod(0o755)


def make(machine, *arguments):
    checkout, programs = machine
    done = subprocess.run(
        ["make", *arguments],
        cwd=checkout,
        env={"PATH": str(programs), "HOME": os.devnull},
        capture_output=True,
        text=True,
    )
    output = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make")]
    return done.returncode, output


def test_without_node(machine):
    code, output = make(machine, "frontend/node_modules/.installed")
    assert code != 0
    (sentence,) = output
    assert "needs Node.js 20 or newer: install it" in sentence


def test_with_an_old_node(machine):
    offer(machine[1], "npm", "exit 1")
    offer(machine[1], "node", 'if [ "$1" = --version ]; then echo v16.4.0; else exit 1; fi')
    code, output = make(machine, "frontend/node_modules/.installed")
    assert code != 0
    assert output == ["Quarterturn needs Node.js 20 or newer; this is v16.4.0."]


def test_with_an_old_python(machine):
    offer(machine[1], "python3", "exit 1")
    code, output = make(machine, "run")
    assert code != 0
    assert output == ["Quarterturn needs Python 3.11 or newer: for example, set PYTHON=python3.11."]


def test_help_names_every_target(machine, repository):
    code, output = make(machine)
    assert code == 0
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (repository / "Makefile").read_text(), re.MULTILINE)
    assert {"run", "test", "clean"} < set(phony.split())
    assert {line.split()[1] for line in output if line.split()[:1] == ["make"]} == set(phony.split())
