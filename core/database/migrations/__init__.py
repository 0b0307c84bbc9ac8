"""Schema migrations (alembic), run in the calling process by `python -m admin migrate` and `python -m supervisor`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from core.database.transactions import get_engine, make_engine
from core.errors import Conflict, NotFound
from core.settings import get_settings


def configuration(url: str) -> Config:
    """Returns alembic's configuration for a database, without an alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))  # configparser expands %
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def migrate(url: str = "") -> None:
    """Upgrades the database to the newest schema; does nothing when it has it.

    Args:
        url: of the database; "": the one that the settings name.

    Raises:
        Conflict: a newer version of the program has migrated the database.
    """
    settings = get_settings()
    if not url and not settings.database_url:
        settings.data.mkdir(parents=True, exist_ok=True)
    try:
        command.upgrade(configuration(url or settings.database()), "head")
    except CommandError as error:
        current = _recorded_revision(url or settings.database())
        if current is None or current in _revisions():
            raise  # a fault of the migrations themselves
        detail = f"the database has schema {current}, which this version of the program does not know"
        action = "use the version that migrated it, or a newer one"
        raise Conflict("other-schema", detail, action, revision=current) from error


def _recorded_revision(url: str) -> str | None:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def _revisions() -> set[str]:
    """Returns every schema revision that this version of the program can migrate from or to."""
    return {script.revision for script in ScriptDirectory.from_config(configuration("")).walk_revisions()}


def newest_revision() -> str:
    """Returns the schema revision that this version of the program works with."""
    return str(ScriptDirectory.from_config(configuration("")).get_current_head())


def revision(connection: Connection) -> str:
    """Returns the schema revision of a database.

    Raises:
        NotFound: the database was never migrated.
    """
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        raise NotFound("no-instance", "this database holds no instance", "run python -m admin migrate first")
    return current


def require_newest() -> None:
    """Checks that the settings name a database of this version's schema.

    Raises:
        NotFound: there is no database, or it was never migrated.
        Conflict: its schema is another version's.
    """
    settings = get_settings()
    if not settings.database_url and not settings.database_file().is_file():  # connecting would create an empty one
        detail = f"there is no database in {settings.data.resolve()}"
        raise NotFound("no-instance", detail, "set QUARTERTURN_DATA, or run python -m admin migrate first")
    with get_engine().connect().execution_options(reading=True) as connection:
        current = revision(connection)
    if current != newest_revision():
        detail = f"the database has schema {current}, and this version of the program needs {newest_revision()}"
        raise Conflict("other-schema", detail, "run python -m admin migrate, or the program's version that matches")
