"""What routes take besides bodies: the call itself, the lab, ids from the path, filters and pages from the query."""

from typing import Annotated, Any, TypeAlias

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from benchwire.observability.boards.reports import Reports
from benchwire.observability.feeds import Feeds
from benchwire.observability.lab import Lab

MOST_ROWS = 10_000
_LAST_SEQUENCE = (1 << 63) - 1

AnyRequest: TypeAlias = Request[Any, Any, Any]
TheLab: TypeAlias = NamedDependency[Lab]
TheFeeds: TypeAlias = NamedDependency[Feeds]
TheReports: TypeAlias = NamedDependency[Reports]
Id: TypeAlias = FromPath[str]
Text: TypeAlias = FromQuery[str | None]
InState: TypeAlias = Annotated[str | None, QueryParameter(name="state")]  # ``state`` itself is a word of Litestar's
Limit: TypeAlias = Annotated[int | None, QueryParameter(ge=1, le=MOST_ROWS)]
After: TypeAlias = Annotated[int, QueryParameter(ge=0, le=_LAST_SEQUENCE)]
Wait: TypeAlias = Annotated[float, QueryParameter(ge=0, le=30)]  # seconds
Before: TypeAlias = Annotated[int | None, QueryParameter(ge=0, le=_LAST_SEQUENCE)]
