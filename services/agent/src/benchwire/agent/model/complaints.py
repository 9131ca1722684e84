"""What an error of the model endpoint, or of the way to it, means for a person."""

import logging

import anthropic

from benchwire.agent import fitting
from benchwire.agent.model.patience import wait_s

log = logging.getLogger(__name__)

OVERLOADED = 529  # the Messages API's own status
SERVER_ERRORS = 500
REFUSALS = 400  # a lower status had already begun an answer
MAX_SAID_CHARS = 1000

_TOO_LONG = "; start a new session or task, with what matters of this one"
_WHAT_AND_TODO = {
    401: ("refused the key", "; check ANTHROPIC_API_KEY of the agent runner"),
    403: ("does not let this key use {model}", "; use another key, or another model with BENCHWIRE_MODEL"),
    404: ("does not know {model}", "; choose another with BENCHWIRE_MODEL"),
    413: ("takes no request of this length", _TOO_LONG),
    429: ("has a rate limit, which is reached", "; try again later"),
}
# What the SDK raises over a stream that is empty, no JSON, or no events of the Messages API.
_GARBLED = (AssertionError, ValueError, TypeError, AttributeError, LookupError)
_IN_THE_MIDDLE = ("overloaded_error", "api_error", "rate_limit_error", "timeout_error")


def sentence(  # noqa: PLR0911 - one answer per kind of error
    error: Exception, *, where: object, model: str, patience_s: float
) -> str | None:
    """``error`` of the endpoint at ``where`` as a sentence to act on; None when it is not the endpoint's or the network's doing.

    ``patience_s`` is for how long it may ask to be left alone.
    """
    match error:
        case anthropic.APIStatusError():
            return _refusal(error, model, patience_s)
        case anthropic.APITimeoutError():
            return f"the model endpoint {where} did not answer in time; is it overloaded, or is something in between?"
        case anthropic.APIConnectionError():
            return f"no connection to the model endpoint {where} ({_innermost(error)}); is it running, is the address right?"
        case _ if is_break(error):
            return f"{broke_off(where)} ({_innermost(error)})"
        case anthropic.AnthropicError():
            return f"the model endpoint {where} cannot be used: {error}"
        case _ if isinstance(error, _GARBLED):
            log.warning("the model endpoint's answer could not be read", exc_info=error)
            return (
                f"the model endpoint {where} answered with something that is no answer of the Messages API "
                f"({type(error).__name__}); is the address right?"
            )
        case _:
            return None


def broke_off(where: object) -> str:
    """What is said of an answer that ended before its end."""
    return f"the model endpoint {where} broke off in the middle of its answer"


def is_break(error: Exception) -> bool:
    """Whether ``error`` is the transport's, in the middle of an answer: the SDK passes that on as the HTTP library raises it."""
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2")


def is_passing(error: Exception) -> bool:
    """Whether the endpoint itself ended an answer that had begun, for a reason that passes."""
    return (
        isinstance(error, anthropic.APIStatusError) and error.status_code < REFUSALS and _kind(error) in _IN_THE_MIDDLE
    )


def is_about(error: Exception, word: str) -> bool:
    """Whether the endpoint refused a request because of ``word``."""
    return isinstance(error, anthropic.APIStatusError) and error.status_code >= REFUSALS and word in _said(error)


def _refusal(error: anthropic.APIStatusError, model: str, patience_s: float) -> str:
    said = f"{error.status_code}: {_said(error)}" if error.status_code >= REFUSALS else _said(error)
    asked_s = wait_s(error.response.headers)
    if asked_s is not None and asked_s > patience_s:
        said += f"; it asks to be left alone for {asked_s:g} s, BENCHWIRE_MODEL_PATIENCE_S is {patience_s:g}"
    if error.status_code == OVERLOADED or _kind(error) == "overloaded_error":
        return f"the model endpoint is overloaded ({said}); try again later"
    if error.status_code >= SERVER_ERRORS:
        return f"the model endpoint has a problem of its own ({said}); try again later"
    unknown = ("refused the request", _TOO_LONG if "too long" in said else "")
    what, todo = _WHAT_AND_TODO.get(error.status_code, unknown)
    return f"the model endpoint {what} ({said}){todo}".replace("{model}", model)


def _said(error: anthropic.APIStatusError) -> str:
    inner = _inner(error)
    return str(fitting.well_formed(str(inner.get("message") or error.message)[:MAX_SAID_CHARS]))


def _kind(error: anthropic.APIStatusError) -> str | None:
    kind = _inner(error).get("type")
    return None if kind is None else str(kind)


def _inner(error: anthropic.APIStatusError) -> dict[str, object]:
    inner = error.body.get("error") if isinstance(error.body, dict) else None
    return inner if isinstance(inner, dict) else {}


def _innermost(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__
