"""The page for browsers, and the list of routes for everybody else.

The files of the page hold no data, so they need no token; what they show they fetch like any other client.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException

from benchwire.observability.routes.params import AnyRequest, Id
from benchwire.observability.settings import VERSION, Settings
from benchwire.web.described import described

_FOLDER = Path(__file__).parent.parent / "page"
_INDEX = "index.html"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
# Asked for again at each load, and answered with 304 while it is the same: a new version is seen at once.
_CACHING = {"Cache-Control": "no-cache"}


class _File(msgspec.Struct, frozen=True):
    """A file of the page, as it is answered."""

    body: bytes
    content_type: str
    etag: str


@cache
def _files() -> dict[str, _File]:
    """All files of the page by their path below its folder: few and small, so they are kept."""
    found = (path for path in _FOLDER.rglob("*") if path.is_file())
    return {path.relative_to(_FOLDER).as_posix(): _read(path) for path in found}


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _answer(file: _File, request: AnyRequest, headers: dict[str, str]) -> Response[bytes | None]:
    headers = {**_CACHING, **headers, "ETag": file.etag}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if file.etag in known:
        return Response(None, status_code=304, headers=headers)
    return Response(file.body, headers={**headers, "Content-Type": file.content_type})


@get("/", sync_to_thread=True, opt=described(answers={"type": "string"}, sends="text/*"))
def index(request: AnyRequest) -> Response[Any]:
    """The page for who accepts HTML, else what there is to call."""
    if "text/html" in request.headers.get("accept", ""):
        return _answer(_files()[_INDEX], request, {"Vary": "Accept"})
    return Response(_LISTED, media_type="text/plain", headers={"Vary": "Accept"})


@get("/page/{name:path}", sync_to_thread=True, include_in_schema=False)
def page_file(request: AnyRequest, name: Id) -> Response[Any]:
    """A file of the page."""
    file = _files().get(name.lstrip("/"))
    if file is None:
        raise NotFoundException
    return _answer(file, request, {})


@get("/page/settings.json", include_in_schema=False)
async def page_settings(settings: NamedDependency[Settings]) -> Response[dict[str, str]]:
    """What the page cannot know by itself: where the documents are."""
    told = {"documents_url": settings.documents_url.rstrip("/"), "version": VERSION}
    return Response(told, headers={"Cache-Control": "no-store"})


@get("/routes", media_type="text/plain")
async def list_routes() -> str:
    """What there is to call."""
    return _LISTED


_LISTED = """Benchwire observability

GET    /                               the page in a browser; else this list, as /routes
GET    /health
POST   /events                         a hook, an array of hooks, or application/x-ndjson
GET    /events                         ?q=&session_id=&event_type=&limit=&cursor= finds what was said
GET    /events/{session}               also /sessions/{session}/events?after=&before=&limit=&event_type=
GET    /sessions                       ?limit=&cursor=&status=&agent_name=&parent_session_id=&q=
POST   /sessions                       with a prompt an agent runner takes it
GET    /sessions/{session}             /status  /result  /usage
POST   /sessions/{session}/messages    {"text"}: heard at the next turn; one that has ended goes on with it
GET    /approvals                      ?state=waiting calls that wait for a person; also /sessions/{session}/approvals
POST   /sessions/{session}/approvals/{call}   {"approve": true or false, "reason"}
GET    /sessions/{session}/stream      text/event-stream: what happens, as it happens; Last-Event-ID or ?since=
GET    /usage                          ?by=session,task,model,day&session_id=&task_id=&model=&since=&until= tokens and cost
POST   /sessions/{session}/stop
PATCH  /sessions/{session}/metadata
DELETE /sessions/{session}
GET    /sessions/{session}/export      one line of JSON for each event
POST   /sessions/import                what /export gave; ?session_id=&prefix=
POST   /sessions/{session}/fork        goes on from the middle, with {"at", "prompt"}
GET    /agents                         ?tags=a,b
POST   /agents                         GET, PATCH, DELETE /agents/{agent}; PATCH /agents/{agent}/status
POST   /tasks                          firmware for boards, or code
GET    /tasks  /tasks/{task}  /tasks/{task}/results
GET    /tasks/{task}/logs              /logs/stream is text/event-stream
POST   /tasks/{task}/cancel            /tasks/{task}/intervene
GET    /api/boards                     kinds of boards, and what can be done for each
POST   /api/design/parse               plain words to nodes with assertions
POST   /api/build/start                GET /api/build/{build}/status, POST /api/build/{build}/stop
POST   /api/simulate/start             the last sources of a build again; /status and /stop as of a build
POST   /api/deploy/{build}/assign/{port}      DELETE too; then /api/deploy/flash, /api/deploy/flash-all
GET    /api/devices  /api/hosts  /api/flash/jobs  /api/flash/jobs/{job}
POST   /api/flash/start                /api/flash/jobs/{job}/pause, resume, cancel
WS     /ws                             sessions and their events; ?session_id=&deltas=true what a model says, as it says it
WS     /ws/{task}                      one task
WS     /flash-progress                 also /flash-progress/{job}
WS     /ws/serial                      what boards print
GET    /schema/openapi.json            /asyncapi.json: events and sockets
GET    /metrics                        for Prometheus
"""

ROUTES = [index, page_file, page_settings, list_routes]
