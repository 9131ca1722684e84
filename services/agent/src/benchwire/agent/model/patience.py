"""How long a model endpoint is waited for that asks to be left alone: the SDK itself waits for as long as it is told to."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from anthropic import APIRequest, AsyncAPIResponse, AsyncCallNext, Middleware


class Patience(Middleware):
    """Lets the SDK wait and ask again as long as the endpoint asks for ``most_s`` seconds at most; beyond that, its refusal stands."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s

    async def handle_async(self, request: APIRequest, call_next: AsyncCallNext) -> AsyncAPIResponse[Any]:
        """One attempt."""
        response = await call_next(request)
        asked_s = wait_s(response.headers)
        if asked_s is not None and asked_s > self._most_s:
            response.http_response.headers["x-should-retry"] = "false"  # which the SDK obeys
        return response


def wait_s(headers: Mapping[str, str]) -> float | None:
    """For how many seconds an answer asks to be left alone; None when it does not, or not in a way that can be read."""
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return float(milliseconds) / 1000
        if (after := headers.get("retry-after")) is None:
            return None
        try:
            return float(after)
        except ValueError:
            return (parsedate_to_datetime(after).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return None
