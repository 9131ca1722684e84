"""All sessions as JSON, which everybody who connects asks for: kept, so that only what changed is made anew."""

from sqlite_utils import Database

from benchwire.observability import queries
from benchwire.observability.wire import sessions as wire


class Listing:
    """Used from several reading threads; each puts its whole result in place in one step."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[queries.Mark, str]] = {}
        self._whole: tuple[int, str] = (-1, "")

    def json(self, db: Database) -> str:
        """The sessions of this snapshot, newest first, with commas between them."""
        sequence = queries.applied(db)
        at, whole = self._whole
        if at == sequence:
            return whole
        kept = self._made
        marks = queries.session_marks(db)
        stale = [mark.session_id for mark in marks if (one := kept.get(mark.session_id)) is None or one[0] != mark]
        news = {
            one.session.session_id: wire.session_json(one.session) for one in queries.some_sessions(db, stale).values()
        }
        made = {
            mark.session_id: (mark, news[mark.session_id]) if mark.session_id in news else kept[mark.session_id]
            for mark in marks
        }
        whole = ",".join(text for _, text in made.values())
        self._made, self._whole = made, (sequence, whole)
        return whole
