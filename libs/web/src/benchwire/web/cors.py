"""Which browsers' pages may call: the origins of the dashboards that exist, unless ``BENCHWIRE_CORS_ORIGINS`` says otherwise."""

from collections.abc import Sequence

from litestar.config.cors import CORSConfig

DEFAULT_ORIGINS = ("http://localhost:5173", "http://localhost:3000")


def cors(origins: Sequence[str] = DEFAULT_ORIGINS) -> CORSConfig:
    """The CORS part of an app; ``*`` as the only origin lets every page in, and is for those who know what they do."""
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
        expose_headers=[
            "Retry-After", "X-Total-Count", "Content-Disposition", "Content-Range", "ETag", "X-Total-Chars", "X-Char-Range",
        ],
        max_age=600,
    )  # fmt: skip
