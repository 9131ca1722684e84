import logging
from typing import Any

import msgspec
import pytest
from litestar import Request, get, post
from litestar.params import JSONBody
from litestar.testing import TestClient

from benchwire.events.event import IllegalToken
from benchwire.events.log import Contended, EventTooLarge, LogUnavailable
from benchwire.events.projection import ProjectionBehind
from benchwire.web.app import made


class DeviceBusy(Exception):
    pass


class Order(msgspec.Struct):
    name: str
    count: int = 1


FAILURES: dict[str, Exception] = {
    "busy": DeviceBusy("d is leased"),
    "token": IllegalToken("id", "a.b"),
    "log": LogUnavailable("the log does not answer"),
    "contended": Contended("somebody else was first"),
    "behind": ProjectionBehind("at 1 of 2"),
    "large": EventTooLarge("too large"),
    "bug": KeyError("secret"),
}


@get("/fail/{name:str}")
async def fail(request: Request[Any, Any, Any]) -> None:
    raise FAILURES[request.path_params["name"]]


@post("/order", status_code=200)
async def order(data: JSONBody[Order]) -> Order:
    return data


def call(method: str, path: str, **more: Any) -> tuple[int, dict[str, Any], Any]:
    app = made("test", [fail, order], statuses={DeviceBusy: 409}, body_limit_bytes=1000)
    with TestClient(app) as client:
        answer = client.request(method, path, **more)
        return answer.status_code, answer.json(), answer.headers


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("busy", 409, "d is leased"),
        ("token", 400, "cannot be used"),
        ("log", 503, "the log does not answer"),
        ("contended", 503, "somebody else"),
        ("behind", 503, "at 1 of 2"),
        ("large", 413, "too large"),
    ],
)
def test_each_error_has_its_status_and_its_sentence(name: str, status: int, says: str) -> None:
    answered, body, headers = call("GET", f"/fail/{name}")
    assert (answered, body["status_code"], set(body)) == (status, status, {"detail", "status_code"})
    assert says in body["detail"]
    assert ("retry-after" in headers) is (status == 503)


def test_what_nobody_foresaw_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, body, _ = call("GET", "/fail/bug")
    assert (status, body["status_code"]) == (500, 500)
    assert "secret" not in body["detail"]
    assert caplog.records[-1].exc_info is not None


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b'{"name":3}', 400, "name: Expected `str`, got `int`"),
        (b"{}", 400, "name"),
        (b'{"name":"n","count":"many"}', 400, "count"),
        (b"[]", 400, "object"),
        (b"", 400, "a body is needed"),
        (b"{", 400, ""),
        (b"[" * 999, 400, ""),
        (b'{"name": "\xff"}', 400, "UTF-8"),
        (b" " * 2000, 413, "larger"),
    ],
)
def test_a_body_that_is_not_what_was_asked_for_is_refused_and_the_field_named(
    body: bytes, status: int, says: str
) -> None:
    answered, told, _ = call("POST", "/order", content=body)
    assert (answered, told["status_code"]) == (status, status)
    assert says in told["detail"]


def test_what_is_not_there_and_what_is_not_possible_there_are_told_apart() -> None:
    assert call("GET", "/nothing")[:2] == (404, {"detail": "there is nothing at /nothing", "status_code": 404})
    assert call("DELETE", "/order")[:2] == (405, {"detail": "DELETE is not possible at /order", "status_code": 405})
