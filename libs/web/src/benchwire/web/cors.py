"""Which browsers' pages may call: the origins of the dashboards that exist, unless ``BENCHWIRE_CORS_ORIGINS`` says otherwise, and the page
that observability serves."""

from collections.abc import Sequence

from litestar.config.cors import CORSConfig

from benchwire.web.origins import DEFAULT_ORIGINS


def cors(origins: Sequence[str] = DEFAULT_ORIGINS) -> CORSConfig:
    """The CORS part of an app; ``*`` as an origin lets every page in, and is for those who know what they do."""
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=[
            "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "If-Range", "Last-Event-ID", "Range",
            "traceparent", "tracestate",
        ],
        expose_headers=[
            "Retry-After", "X-Total-Count", "X-Next-Cursor", "Content-Disposition", "Content-Range", "ETag", "X-Total-Chars", "X-Char-Range",
            "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "WWW-Authenticate",
        ],
        max_age=600,
    )  # fmt: skip
