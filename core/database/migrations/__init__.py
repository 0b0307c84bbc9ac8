"""Schema migrations (alembic), run in process: `python -m admin migrate` brings a database to this version."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from core.settings import get_settings


def configuration(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def migrate(url: str = "") -> None:
    """Bring the database to this version's schema; nothing to do when it is there."""
    settings = get_settings()
    if not url and not settings.database_url:
        settings.data.mkdir(parents=True, exist_ok=True)
    command.upgrade(configuration(url or settings.database()), "head")
