"""Calls of which nothing was recorded stand among the others, with the reason."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("calls", sa.Column("not_kept", sa.String(32), nullable=False, server_default=""))
    op.create_index("calls_unrecorded", "calls", ["state", "not_kept"], sqlite_where=sa.text("not_kept != ''"))
