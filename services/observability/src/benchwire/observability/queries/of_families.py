"""Who began whom, and who holds what: what has to end together."""

import msgspec
from sqlite_utils import Database

# UNION takes each session once, so that sessions which name each other as parents end the search too. A name counts only when one session
# alone can be meant by it.
_FAMILY = """
WITH RECURSIVE family (session_id, session_name) AS (
    SELECT session_id, session_name FROM sessions WHERE session_id = ?
    UNION
    SELECT child.session_id, child.session_name FROM family AS parent JOIN sessions AS child ON
        child.parent_session_id = parent.session_id
        OR (child.parent_session_id IS NULL AND child.parent_session_name = parent.session_id)
        OR (child.parent_session_id IS NULL AND child.parent_session_name = parent.session_name AND 1 = (
            SELECT count(*) FROM sessions AS other
            WHERE other.session_name = parent.session_name OR other.session_id = parent.session_name
        ))
)
"""
_RUNS = "status IN ('running', 'stopping')"


class Unclear(msgspec.Struct, frozen=True):
    """A session that runs and names a parent by a name that several sessions have."""

    session_id: str
    parent_session_name: str


class Family(msgspec.Struct, frozen=True):
    """What runs below a session: its children, theirs, and so on. ``unclear`` are those that may or may not belong to it."""

    running: list[str]
    unclear: list[Unclear]


class Held(msgspec.Struct, frozen=True):
    """What a runner has: ``kind`` is ``session`` or ``task``. ``is_ending`` says that somebody asked for its end."""

    kind: str
    name: str
    runner: str
    is_ending: bool


def family(db: Database, session_id: str) -> Family:
    """What runs below that session, whatever the state of those in between."""
    running = f"""{_FAMILY} SELECT session_id FROM sessions WHERE {_RUNS} AND session_id <> ?
        AND session_id IN (SELECT session_id FROM family) ORDER BY created_seq"""  # noqa: S608 - our own words
    unclear = f"""{_FAMILY} SELECT session_id, parent_session_name FROM sessions WHERE {_RUNS} AND parent_session_id IS NULL
        AND parent_session_name IN (SELECT session_name FROM family) AND session_id NOT IN (SELECT session_id FROM family)
        ORDER BY created_seq"""  # noqa: S608
    return Family(
        [row[0] for row in db.conn.execute(running, (session_id, session_id))],
        [Unclear(*row) for row in db.conn.execute(unclear, (session_id,))],
    )


def held(db: Database) -> list[Held]:
    """Sessions and tasks that have not ended and that a runner has."""
    sql = f"""
        SELECT 'session', session_id, runner, status = 'stopping' FROM sessions WHERE runner IS NOT NULL AND {_RUNS}
        UNION ALL
        SELECT 'task', task_id, runner, status = 'cancelling' FROM tasks
        WHERE runner IS NOT NULL AND status IN ('in_progress', 'cancelling')
    """  # noqa: S608
    return [Held(kind, name, runner, bool(ending)) for kind, name, runner, ending in db.conn.execute(sql)]
