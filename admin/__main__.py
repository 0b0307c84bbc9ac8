"""python -m admin COMMAND: run an operator command on this instance's database and files.

Each command has its own `--help`. A command is imported when it is called, so that one that fails to import leaves the
others usable.
"""

import argparse
import sys
from importlib import import_module

COMMANDS = {
    "migrate": "bring the database to this version, create the administrator",
    "backup": "save everything the service keeps into a folder, or load it into an empty instance",
    "retention": "list the slides that the retention period would delete",
    "audit": "verify the hash chain of the audit",
}


def main(arguments: list[str]) -> int:
    """Run the command that the first argument names; returns its exit status."""
    listed = "\n".join(f"  {name:10} {purpose}" for name, purpose in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m admin",
        description="Operator commands.",
        epilog=f"commands:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    options = parser.parse_args(arguments[:1])
    return int(import_module(f"admin.{options.command}").main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
