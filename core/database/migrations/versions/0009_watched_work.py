"""what operators watch is found without a walk over all work"""

from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('work_by_end', 'work', ['kind', 'done_at'])
    op.create_index('work_by_attempts', 'work', ['attempts'])
