"""python -m admin COMMAND: runs an operator command on the database and files that the settings name.

Exit status: 0 done; 1 the command failed, or the audit is broken; 2 wrong arguments or settings. An error is one
sentence on standard error.

A command's module is imported when it is called, so that one that fails to import leaves the others usable.
"""

import argparse
import sys
from importlib import import_module

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from core.errors import QuarterturnError
from core.settings import ROOT, describe_errors, read_dotenv, version

COMMANDS = {
    "migrate": "upgrade the database's schema and create the administrator",
    "backup": "save the instance into a folder, or load a backup into an empty instance",
    "retention": "list the slides that the retention period would delete",
    "audit": "verify the hash chain of the audit",
}
FAILED, WRONG_USE = 1, 2


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the first argument. Every command parses the rest, so that each has its own --help."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {purpose}" for name, purpose in COMMANDS.items())
    new = argparse.ArgumentParser(
        prog="python -m admin",
        usage="%(prog)s [--help | --version] COMMAND …",
        description="Operator commands. They use the settings of the service: QUARTERTURN_* variables, or a file .env.",
        epilog=f"commands (each has --help):\n{commands}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    new.add_argument("--version", action="version", version=f"Quarterturn {version()}")
    new.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    return new


def main(arguments: list[str]) -> int:
    """Runs the command that the first argument names; returns the exit status."""
    command = parser().parse_args(arguments[:1]).command
    read_dotenv(ROOT / ".env")
    try:
        return int(import_module(f"admin.{command}").main(arguments[1:]))
    except ValidationError as error:
        print(describe_errors(error), file=sys.stderr)
        return WRONG_USE
    except QuarterturnError as error:
        print(f"{error.detail}: {error.action}.", file=sys.stderr)
    except DBAPIError as error:
        print(f"The database does not answer: {str(error.orig).strip()}", file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or command}: {error.strerror or error}", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
