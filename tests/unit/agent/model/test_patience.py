"""For how long an endpoint asks to be left alone."""

import pytest

from benchwire.agent.model.patience import wait_s


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon"}, None),
    ],
)
def test_it_is_read_in_every_form_that_the_sdk_reads(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_s(headers) == seconds


def test_a_date_is_as_good_as_a_number() -> None:
    assert (wait_s({"retry-after": "Fri, 31 Dec 2200 23:59:59 GMT"}) or 0) > 3600
