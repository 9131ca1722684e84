"""Tags of documents, counted by looking at all of them."""

import json
import os
import sqlite3
from collections import Counter
from typing import Any

from fastapi import FastAPI

TABLES = "CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, filename TEXT NOT NULL, tags TEXT NOT NULL);"


def made() -> FastAPI:
    """The app; ``PLAIN_FILE`` is its database. uvicorn calls it."""
    app = FastAPI()
    db = sqlite3.connect(os.environ["PLAIN_FILE"], check_same_thread=False)
    db.executescript(TABLES)

    @app.get("/documents/tags")
    async def get_tags() -> dict[str, Any]:
        counts: Counter[str] = Counter()
        for (tags,) in db.execute("SELECT tags FROM documents"):
            counts.update(json.loads(tags))
        return {"tags": [{"name": name, "count": count} for name, count in counts.most_common()]}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    return app
