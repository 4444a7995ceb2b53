"""Calls that are held, and those that somebody has asked to keep longer."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("calls", sa.Column("hold_until_ms", sa.BigInteger))
    op.add_column("calls", sa.Column("keep_asked_at_ms", sa.BigInteger))
    op.create_index(
        "calls_longer",
        "calls",
        ["state", "started_at_ms", "call_id"],
        sqlite_where=sa.text("hold_until_ms IS NOT NULL OR keep_asked_at_ms IS NOT NULL"),
    )
