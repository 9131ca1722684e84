"""Events into SQLite, one commit for each, and as JSON to each WebSocket; sessions and events as lists."""

import json
import os
import sqlite3
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel

TABLES = """
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY, session_name TEXT, status TEXT NOT NULL, created_at TEXT NOT NULL, modified_at TEXT NOT NULL,
    project_dir TEXT, agent_name TEXT
);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, event_type TEXT NOT NULL, timestamp TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_session ON events (session_id, id);
"""
_INSERT = "INSERT INTO events (session_id, event_type, timestamp, body) VALUES (?, ?, ?, ?)"
_PAGE = "SELECT id, body FROM events WHERE session_id = ? ORDER BY id LIMIT ? OFFSET ?"
_UPSERT = """
INSERT INTO sessions VALUES (?, ?, 'running', ?, ?, ?, ?)
ON CONFLICT (session_id) DO UPDATE SET modified_at = excluded.modified_at, session_name = coalesce(session_name, excluded.session_name)
"""


class Event(BaseModel):
    """A hook's report."""

    event_type: str
    session_id: str
    timestamp: str
    session_name: str | None = None
    project_dir: str | None = None
    agent_name: str | None = None
    tool_name: str | None = None
    tool_use_id: str | None = None
    tool_input: dict[str, Any] | None = None
    tool_output: Any = None
    error: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    role: str | None = None
    content: list[dict[str, Any]] | None = None


class _Plain:
    """The database and who listens."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(os.environ["PLAIN_FILE"], check_same_thread=False)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(os.environ.get("PLAIN_PRAGMAS", "") + TABLES)
        self.clients: list[WebSocket] = []

    def keep(self, event: Event) -> dict[str, Any]:
        body = event.model_dump(exclude_none=True)
        row = (event.session_id, event.event_type, event.timestamp, json.dumps(body))
        body["id"] = self.db.execute(_INSERT, row).lastrowid
        at = event.timestamp
        self.db.execute(_UPSERT, (event.session_id, event.session_name, at, at, event.project_dir, event.agent_name))
        return body

    async def tell(self, body: dict[str, Any]) -> None:
        for client in list(self.clients):
            try:
                await client.send_json({"type": "event", "data": body})
            except (WebSocketDisconnect, RuntimeError):
                self.clients.remove(client)

    def sessions(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.db.execute("SELECT * FROM sessions ORDER BY created_at DESC")]

    def events(self, session_id: str, limit: int, offset: int) -> list[dict[str, Any]]:
        rows = self.db.execute(_PAGE, (session_id, limit, offset))
        return [json.loads(row["body"]) | {"id": row["id"]} for row in rows]


def made() -> FastAPI:  # noqa: C901 - one route after the other
    """The app; ``PLAIN_FILE`` is its database, ``PLAIN_PRAGMAS`` how that is opened. uvicorn calls it."""
    app, plain = FastAPI(), _Plain()

    @app.post("/events")
    async def post_event(event: Event) -> dict[str, bool]:
        body = plain.keep(event)
        plain.db.commit()
        await plain.tell(body)
        return {"ok": True}

    @app.post("/events/many")
    async def post_events(events: list[Event]) -> dict[str, bool]:
        """An array in one commit, which the plain design would not have, but could."""
        bodies = [plain.keep(one) for one in events]
        plain.db.commit()
        for body in bodies:
            await plain.tell(body)
        return {"ok": True}

    @app.get("/sessions")
    async def get_sessions() -> dict[str, Any]:
        return {"sessions": plain.sessions()}

    @app.get("/events/{session_id}")
    async def get_events(session_id: str, limit: int = -1, offset: int = 0) -> dict[str, Any]:
        return {"events": plain.events(session_id, limit, offset)}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    @app.websocket("/ws")
    async def listen(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_json({"type": "init", "sessions": plain.sessions()})
        plain.clients.append(socket)
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            if socket in plain.clients:
                plain.clients.remove(socket)

    return app
