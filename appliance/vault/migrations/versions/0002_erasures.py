"""Requests to forget, with their receipts; what is forgotten names the request."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("erasure_id", sa.String(16), primary_key=True),
        sa.Column("asked_at_ms", sa.BigInteger, nullable=False),
        sa.Column("asked_by", sa.String(16), nullable=False),
        sa.Column("why", sa.String(32), nullable=False),
        sa.Column("classes", sa.JSON, nullable=False),
        sa.Column("ring_before", sa.LargeBinary),
        sa.Column("ring_after", sa.LargeBinary),
        sa.Column("done_at_ms", sa.BigInteger),
        sa.Column("receipt", sa.LargeBinary),
    )
    op.create_index("erasures_by_time", "erasures", ["asked_at_ms", "erasure_id"])
    op.add_column("calls", sa.Column("erasure_id", sa.String(16)))
    op.add_column("forgotten", sa.Column("erasure_id", sa.String(16)))
    op.create_index("forgotten_by_erasure", "forgotten", ["erasure_id"])
    _give_a_request_to_what_was_condemned_before()


def _give_a_request_to_what_was_condemned_before() -> None:
    connection = op.get_bind()
    condemned = sa.text("SELECT count(*), min(condemned_at_ms) FROM calls WHERE state = 'condemned'")
    count, asked_at_ms = connection.execute(condemned).one()
    if count:
        row = {"id": "0" * 16, "at": asked_at_ms, "classes": f'{{"standard": {count}}}'}
        connection.execute(
            sa.text(
                "INSERT INTO erasures (erasure_id, asked_at_ms, asked_by, why, classes)"
                " VALUES (:id, :at, 'vault', 'asked', :classes)"
            ),
            row,
        )
        connection.execute(sa.text("UPDATE calls SET erasure_id = :id WHERE state = 'condemned'"), row)
