"""Signed statements about calls, the numbers of a line's calls, and its signed days."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "call_evidence",
        sa.Column("call_id", sa.String(32), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "numbered_calls",
        sa.Column("line", sa.String(32), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("call_id", sa.String(32), nullable=False, unique=True),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("why", sa.String(32), nullable=False),
        sa.Column("frames", sa.BigInteger, nullable=False),
        sa.Column("frames_lost", sa.BigInteger, nullable=False),
        sa.Column("frames_paused", sa.BigInteger, nullable=False),
        sa.Column("statement_sha256", sa.String(64)),
    )
    op.create_table(
        "line_days",
        sa.Column("line", sa.String(32), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("signed", sa.LargeBinary, nullable=False),
    )
