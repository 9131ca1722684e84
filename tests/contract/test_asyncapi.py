"""The AsyncAPI document says what is: all subjects, all sockets, their true shapes, and nothing that is not there."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler

from benchwire.deploy import asyncapi
from benchwire.documents import faces as documents
from benchwire.documents.routes import sockets as documents_sockets
from benchwire.events import codec
from benchwire.events.catalog import CATALOG, Entry
from benchwire.events.testing.samples import sample
from benchwire.observability.routes import asyncapi as served
from benchwire.observability.routes import serial, sockets, stream
from benchwire.observability.wire import faces as observability

ROOT = Path(__file__).parents[2]


@cache
def document() -> Any:
    return json.loads(asyncapi.text())


def references(of: Any) -> set[str]:
    if isinstance(of, dict):
        own = {of["$ref"]} if isinstance(of.get("$ref"), str) else set()
        return own.union(*(references(one) for one in of.values()))
    return set().union(*(references(one) for one in of)) if isinstance(of, list) else set()


def resolved(reference: str) -> Any:
    found = document()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


@pytest.mark.parametrize("file", [ROOT / "docs" / "asyncapi.json", served.FILE], ids=["docs", "served"])
def test_the_files_are_what_the_types_say(file: Path) -> None:
    assert file.read_text() == asyncapi.text(), "run `make docs`"


def test_every_reference_leads_somewhere() -> None:
    assert len(references(document())) > len(CATALOG)
    for one in references(document()):
        assert resolved(one) is not None, one


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.tag)
def test_every_event_has_its_channel_its_writers_and_its_readers(entry: Entry) -> None:
    channel = document()["channels"][entry.tag]
    assert channel["address"] == entry.subject
    assert set(channel["parameters"]) == set(entry.fields)
    on_it = [one for one in document()["operations"].values() if one["channel"]["$ref"] == f"#/channels/{entry.tag}"]
    senders = {one["tags"][0]["name"] for one in on_it if one["action"] == "send"}
    readers = {one["tags"][0]["name"] for one in on_it if one["action"] == "receive"}
    assert senders == set(entry.writers)
    assert readers or entry.tag == "session_delta", "somebody reads it, or it is for whoever listens"


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.tag)
def test_an_event_as_it_is_written_fits_its_schema(entry: Entry) -> None:
    message = document()["components"]["messages"][entry.tag]
    event = sample(entry.event)
    schema = {"components": document()["components"], **message["payload"]}
    jsonschema_rs.validate(schema, json.loads(codec.encode(event)))
    assert not jsonschema_rs.is_valid(schema, {})
    headers = {"components": document()["components"], **message["headers"]}
    jsonschema_rs.validate(headers, codec.headers(event, codec.new_id(), "another"))


def test_every_socket_and_stream_has_its_face_and_each_face_is_served() -> None:
    of_serial = [route for route in serial.ROUTES if isinstance(route, WebsocketRouteHandler)]
    ours: list[Any] = [*of_serial, *sockets.ROUTES, *stream.ROUTES]
    opened = {
        path for route in ours if isinstance(route, WebsocketRouteHandler | HTTPRouteHandler) for path in route.paths
    }
    paths = {re.sub(r":str\}", "}", path) for path in opened}
    aliases = {path for path in paths if path.startswith("/ws/flash-progress")}
    assert paths - aliases <= {face.address for face in observability.FACES}
    assert {face.address for face in observability.FACES} - paths == {"/tasks/{task_id}/logs/stream"}
    assert [face.address for face in documents.FACES] == sorted(documents_sockets.follow.paths)


def test_frames_have_names_of_their_own_in_the_document() -> None:
    assert all(re.fullmatch(r"\w+", name) for name in document()["components"]["schemas"])
    for face in (*observability.FACES, *documents.FACES):
        named = document()["channels"][face.channel]["messages"]
        assert len(named) == len(face.sends) + len(face.takes) + bool(face.text)
        assert all(issubclass(kind, msgspec.Struct) for kind in face.sends)
