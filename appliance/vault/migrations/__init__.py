"""The catalogue's schema, one step after the other (Alembic). `bring_up_to_date` walks them at start."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from appliance.terms import StorageTrouble

HEAD = "0005"
"""The newest step. Alembic costs memory and start-up time, so it is loaded only if the schema is older."""


def bring_up_to_date(engine: Engine) -> None:
    """Bring a new or older catalogue to the schema of this version."""
    revision = _revision(engine)
    if revision == HEAD:
        return
    from alembic import command  # noqa: PLC0415 - see HEAD
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise StorageTrouble("The catalogue was made by a newer Linekeep; nothing was changed. Install that one.")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
