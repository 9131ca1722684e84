"""Finding what was said."""

from typing import Annotated, Any

from litestar import get
from litestar.params import QueryParameter

from benchwire.observability import queries
from benchwire.observability.reading import cursor as cursors
from benchwire.observability.routes.params import Text, TheLab
from benchwire.observability.search.wording import expression
from benchwire.observability.wire import answers
from benchwire.observability.wire import search as wire
from benchwire.web.described import described

_MOST = 200


@get("/events", opt=described(answers=answers.Hits))
async def search_events(
    lab: TheLab,
    *,
    q: Text = None,
    session_id: Text = None,
    event_type: Text = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST)] = 50,
    cursor: Text = None,
) -> dict[str, Any]:
    """Events in whose text ``q`` is found, newest first: messages, tools with what they took and gave, errors, reasons.

    All words have to be there; ``"a phrase"`` as it is; ``begin*`` begins a word; ``-this`` must not be there. In ``snippet`` what was found
    stands between the characters U+0002 and U+0003.
    """
    wanted = expression(q or "")
    before = None if cursor is None else cursors.read(cursor, tuple[int])[0]
    found = await lab.search.read(
        lambda db: queries.hits(
            db, wanted, limit=limit + 1, before=before, session_id=session_id, event_type=event_type
        )
    )
    shown = found[:limit]
    names = await lab.read(lambda db: queries.names_of(db, {one.session_id for one in shown}))
    return wire.results(shown, names, cursors.made((shown[-1].sequence,)) if len(found) > limit else None)


ROUTES = [search_events]
