"""The two engines that everything must hold on."""

from servers import Postgres, Redis

ENGINES = ("embedded", "production")


def settings_of(engine, folder, stop_later):
    """Environment of an engine; starts the servers that it needs."""
    if engine == "embedded":
        return {}
    postgres, redis = Postgres(), Redis(folder / "redis")
    stop_later(postgres.remove)
    stop_later(redis.stop)
    return {"QUARTERTURN_DATABASE_URL": postgres.url, "QUARTERTURN_BROKER_URL": redis.url}
