"""The catalogue's schema, one step after the other (Alembic). `bring_up_to_date` walks them at start."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

HEAD = "0001"
"""The newest step. Alembic costs memory and start-up time, so it is loaded only if the schema is older."""


def bring_up_to_date(engine: Engine) -> None:
    """Bring a new or older catalogue to the schema of this version."""
    if _revision(engine) == HEAD:
        return
    from alembic import command  # noqa: PLC0415 - see HEAD
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
