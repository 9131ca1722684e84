"""What an answer means: the lab's own sentence, or that it is no lab."""

import httpx
import pytest

from benchwire.client import FlashFailed, Job, NoLab, Refused, verified
from benchwire.client.http import object_of

GET = httpx.Request("GET", "http://lab/api/devices")


def answer(status: int, content: bytes) -> httpx.Response:
    return httpx.Response(status, content=content, request=GET)


def test_an_object_is_given() -> None:
    assert object_of(answer(200, b'{"devices": []}'), "http://lab") == {"devices": []}


def test_a_refusal_has_the_sentence_and_the_status() -> None:
    with pytest.raises(Refused, match="there is no device 'x'") as refused:
        object_of(answer(404, b'{"detail": "there is no device \'x\'", "status_code": 404}'), "http://lab")
    assert refused.value.status_code == 404


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}"])
def test_a_proxy_or_another_server_is_no_lab(content: bytes) -> None:
    with pytest.raises(NoLab, match="GET /api/devices gave 502"):
        object_of(answer(502, content), "http://lab")


def test_a_job_that_is_not_verified_is_a_failure_that_says_what_the_flash_holds() -> None:
    job = Job(job_id="j", device_id="b", host="h", status="failed", error="the cable is gone", flash_state="partial")
    with pytest.raises(FlashFailed, match=r"b was not flashed \(failed\): the cable is gone; the flash is partial"):
        verified(job)
    done = Job(job_id="j", device_id="b", host="h", status="completed")
    assert verified(done) is done
