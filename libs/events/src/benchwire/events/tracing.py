"""Which piece of work something belongs to, from an HTTP call through the log to agents and boards: W3C trace context.

A ``traceparent`` that comes in is carried on, whether or not anybody records spans: from the call into the headers of the events that it
writes, from a request event to everything that is written about it. With ``BENCHWIRE_TRACING=otlp`` spans are recorded and sent to where the
``OTEL_…`` variables say; that needs the extra ``tracing``.
"""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import MappingProxyType

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from benchwire.events.settings import InvalidSettings

log = logging.getLogger(__name__)

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
Carrier = Mapping[str, str]

_W3C = TraceContextTextMapPropagator()
_FLUSH_S = 0.7  # a collector that does not answer must not keep a service from ending
_REASON_CHARS = 1000
_NOTHING = contextlib.nullcontext()

_tracer = trace.get_tracer("benchwire")
_about: ContextVar[Mapping[str, str]] = ContextVar("benchwire_about", default=MappingProxyType({}))
_exporting = threading.Event()


def is_exporting() -> bool:
    """Whether this process records spans."""
    return _exporting.is_set()


def is_under_way() -> bool:
    """Whether what runs here belongs to a trace."""
    return trace.get_current_span() is not trace.INVALID_SPAN


def known() -> dict[str, str]:
    """What is known of the work that runs here: its ids (``task_id``, ``job_id``, …), and ``trace_id`` and ``span_id`` of its trace."""
    ids = dict(_about.get())
    if is_under_way():
        context = trace.get_current_span().get_span_context()
        ids |= {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    return ids


def carry(headers: dict[str, str]) -> None:
    """Puts the trace that is under way, if any, into ``headers``."""
    if is_under_way():
        _W3C.inject(headers)


def sending(
    act: str, what: str, headers: dict[str, str], *, kind: SpanKind = SpanKind.PRODUCER
) -> AbstractContextManager[None]:
    """Puts the trace that is under way into ``headers``, as a span ``act what`` that lasts for the context; does nothing without one."""
    # The usual case costs one look: no trace, no span.
    return _sending(f"{act} {what}", headers, kind) if is_under_way() else _NOTHING


@contextlib.contextmanager
def _sending(name: str, headers: dict[str, str], kind: SpanKind) -> Generator[None, None, None]:
    with trace.use_span(_tracer.start_span(name, kind=kind), end_on_exit=True):
        _W3C.inject(headers)
        yield


@contextlib.contextmanager
def span(name: str, **about: str) -> Generator[trace.Span, None, None]:
    """A part of the work that is under way; ``about`` are attributes of it (``benchwire.…``) and stand in log lines."""
    with _about_it({**_about.get(), **about}), _started(name, None, SpanKind.INTERNAL, about) as started:
        yield started


@contextlib.contextmanager
def work(name: str, carrier: Carrier | None, **about: str) -> Generator[trace.Span, None, None]:
    """Work that was asked for by what came with the headers ``carrier``: it goes on with that trace, or begins one; as ``span`` otherwise."""
    with _about_it(about), _started(name, _context_of(carrier), SpanKind.CONSUMER, about) as started:
        yield started


@contextlib.contextmanager
def answering(name: str, carrier: Carrier | None) -> Generator[trace.Span, None, None]:
    """As ``work``, for a call that somebody waits for."""
    with _about_it({}), _started(name, _context_of(carrier), SpanKind.SERVER, {}) as started:
        yield started


@contextlib.contextmanager
def within(carrier: Carrier | None, **about: str) -> Generator[None, None, None]:
    """A moment that belongs to what came with the headers ``carrier``, and is not worth a span."""
    token = attach(_context_of(carrier))
    try:
        with _about_it(about):
            yield
    finally:
        detach(token)


def _context_of(carrier: Carrier | None) -> Context:
    """Never that of whoever started the task that works."""
    return _W3C.extract(carrier, Context()) if carrier and TRACEPARENT in carrier else Context()


@contextlib.contextmanager
def _about_it(ids: Mapping[str, str]) -> Generator[None, None, None]:
    token = _about.set(ids)
    try:
        yield
    finally:
        _about.reset(token)


def _started(
    name: str, context: Context | None, kind: SpanKind, about: Mapping[str, str]
) -> AbstractContextManager[trace.Span]:
    attributes = {f"benchwire.{key}": value for key, value in about.items()}
    started = _tracer.start_span(name, context=context, kind=kind, attributes=attributes)
    return trace.use_span(started, end_on_exit=True)


def failed(reason: str) -> None:
    """Says of the work that is under way that it did not succeed."""
    trace.get_current_span().set_status(StatusCode.ERROR, reason[:_REASON_CHARS])


@contextlib.contextmanager
def exported(service: str, environment: Mapping[str, str] | None = None) -> Generator[None, None, None]:
    """Sends spans away for the time of the context, when ``BENCHWIRE_TRACING`` says so; what is left is sent at its end.

    Raises ``InvalidSettings``, also when the packages for it are missing.
    """
    environment = os.environ if environment is None else environment
    wanted = environment.get("BENCHWIRE_TRACING", "").lower()
    if wanted in ("", "off"):
        yield
        return
    if wanted != "otlp":
        raise InvalidSettings(f"BENCHWIRE_TRACING: it must be otlp or off, not {wanted!r}")
    end = _to_otlp(service, environment)
    _exporting.set()
    try:
        yield
    finally:
        _exporting.clear()
        ending = threading.Thread(target=end, name="last-spans", daemon=True)
        ending.start()
        ending.join(_FLUSH_S)
        if ending.is_alive():
            log.warning("the last spans could not be sent in time")


def _to_otlp(service: str, environment: Mapping[str, str]) -> Callable[[], None]:
    """Sets the exporter up; returns what sends the rest and ends it."""
    try:
        # Only whoever exports needs these packages, and the time that it takes to import them.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise InvalidSettings(
            "BENCHWIRE_TRACING=otlp needs packages that are not installed here: install benchwire-events[tracing]"
        ) from error
    about = {"host.name": environment.get("BENCHWIRE_HOST") or socket.gethostname()}
    if "OTEL_SERVICE_NAME" not in environment:
        about["service.name"] = f"benchwire-{service}"
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider.shutdown
