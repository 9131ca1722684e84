"""What the OpenAPI documents allow, and what they do not, is sent to the services: the answers are as the documents say, and none is a 5xx."""

import contextlib
import json
import re
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 4  # of each operation, valid and not; by hand, many more were tried
# Server-sent events, of which the answer for an id that is there has no end (test_stream.py); and what a runner has to be there for, which
# is refused with 503 otherwise (tasks/test_firmware.py).
LEFT_OUT = r"/stream$|^/api/design/parse$"


@schemathesis.serializer("application/x-ndjson")
def _lines(_: Any, value: Any) -> bytes:
    """A body of lines is a string for its schema; what is no string is sent as a line of JSON."""
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    return text.encode(errors="replace")


@pytest.mark.parametrize("service", ["outside_observability", "outside_documents"])
def test_every_operation_answers_as_its_document_says(service: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(service)
    described = httpx.get(f"{url}/schema/openapi.json", trust_env=False).json()
    schema = schemathesis.openapi.from_dict(described).exclude(path_regex=LEFT_OUT)
    count = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        _examined(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), url)
        with contextlib.suppress(Unsatisfiable):  # whatever is sent is valid for one that takes nothing, or any text
            _examined(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), url)
        count += 1
    assert count == sum(
        re.search(LEFT_OUT, path) is None for path, methods in described["paths"].items() for _ in methods
    )


def _examined(cases: Any, url: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.explicit, Phase.generate],
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def examine(case: Any) -> None:
        case.validate_response(case.call(base_url=url, timeout=20.0), checks=CHECKS)

    examine()
