"""The first catalogue."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String(32), primary_key=True),
        sa.Column("line", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("issued_at_ms", sa.BigInteger, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger),
        sa.Column("length_ms", sa.BigInteger),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("deletion_class", sa.String(32), nullable=False),
        sa.Column("due_at_ms", sa.BigInteger),
        sa.Column("condemned_at_ms", sa.BigInteger),
        sa.Column("card", sa.LargeBinary),
    )
    op.create_index("calls_by_start", "calls", ["state", "started_at_ms", "call_id"])
    op.create_index("calls_by_line", "calls", ["line", "state", "started_at_ms"])
    op.create_index("calls_by_due", "calls", ["state", "due_at_ms"])
    op.create_table(
        "call_keys",
        sa.Column("call_id", sa.String(32), primary_key=True),
        sa.Column("bucket_id", sa.String(16), primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    op.create_index("call_keys_by_bucket", "call_keys", ["bucket_id"])
    op.create_table(
        "number_tokens",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        sa.Column("call_id", sa.String(32), primary_key=True),
        sa.Column("bucket_id", sa.String(16), nullable=False),
    )
    op.create_index("number_tokens_by_call", "number_tokens", ["call_id"])
    op.create_index("number_tokens_by_bucket", "number_tokens", ["bucket_id"])
    op.create_table(
        "gaps",
        sa.Column("call_id", sa.String(32), primary_key=True),
        sa.Column("at_frame", sa.BigInteger, primary_key=True),
        sa.Column("frames", sa.BigInteger, nullable=False),
        sa.Column("why", sa.String(32), nullable=False),
    )
    op.create_table(
        "forgotten",
        sa.Column("call_id", sa.String(32), primary_key=True),
        sa.Column("forgotten_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("name_key", sa.String(256), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.String(256), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "logins",
        sa.Column("token_hash", sa.LargeBinary, primary_key=True),
        sa.Column("account_id", sa.String(16), nullable=False),
        sa.Column("begun_at_ms", sa.BigInteger, nullable=False),
        sa.Column("used_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ends_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "tries",
        sa.Column("subject", sa.String(32), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
