"""Which names say that a secret stands under them."""

import re
from collections.abc import Iterator, Mapping

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    (
        "authorization", "auth", "token", "key", "apikey", "secret", "password", "passwd", "passphrase", "pwd", "credential",
        "credentials", "cookie", "pat", "jwt",
    )
)  # fmt: skip
_NOT_THE_SECRET_ITSELF = frozenset(("file", "path", "dir", "url", "uri", "name", "host", "port", "type"))
LEAST_CHARS = 8  # what is shorter is no secret, and hiding it would spoil every text
_LEAST_LETTERS = 16  # of what is a word: PGPASSWORD=postgres would spoil them, too


def names_a_secret(key: str) -> bool:
    """Whether what stands under ``key`` is a secret, by the words in it: ``GITHUB_TOKEN`` is, ``MAX_TOKENS`` and ``KEY_FILE`` are not."""
    words = [word.lower() for word in _WORDS.findall(key)]
    return not _SECRET_WORDS.isdisjoint(words) and words[-1] not in _NOT_THE_SECRET_ITSELF


def secrets_in(environment: Mapping[str, str]) -> Iterator[str]:
    """The values of an environment's variables that are secrets by their names; paths and single words are none."""
    for name, value in environment.items():
        is_path = value.startswith(("/", "./", "~"))
        least_chars = _LEAST_LETTERS if value.isalpha() else LEAST_CHARS
        if len(value) >= least_chars and not is_path and names_a_secret(name):
            yield value
