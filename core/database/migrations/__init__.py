"""Schema migrations (alembic), run in the calling process by `python -m admin migrate` and `python -m supervisor`."""

from pathlib import Path

from alembic import command
from alembic.config import Config

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
    """
    settings = get_settings()
    if not url and not settings.database_url:
        settings.data.mkdir(parents=True, exist_ok=True)
    command.upgrade(configuration(url or settings.database()), "head")
