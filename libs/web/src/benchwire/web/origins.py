"""The origins of the pages that may call: of the dashboards that exist, and of the page that observability serves. Plain strings, so that
the `benchwire` command need not load a web framework for them."""

DEFAULT_ORIGINS = ("http://localhost:5173", "http://localhost:3000")
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


def page_origins(host: str, port: int) -> list[str]:
    """The origins of the page that a service serves on ``host`` and ``port``, as browsers of this machine and of others name it."""
    named = [host] if host not in _ANY_ADDRESS else []
    return [f"http://{_in_url(one)}:{port}" for one in dict.fromkeys(["127.0.0.1", "localhost", *named])]


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
