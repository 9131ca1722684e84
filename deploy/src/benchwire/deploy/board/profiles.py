"""Which kinds of board have a virtual counterpart."""

from benchwire.boards import profile as profiles
from benchwire.boards.virtual.main import BOARD_MODULES


class NotVirtual(LookupError):
    """There is no virtual board of that profile."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no virtual {name}; there are {', '.join(sorted(BOARD_MODULES))}")


def virtual_profile(name: str) -> str:
    """The name under which hosts know the board. Raises ``UnknownProfile`` and ``NotVirtual``, which are ``LookupError``."""
    profile = profiles.load(name).board
    if profile not in BOARD_MODULES:
        raise NotVirtual(profile)
    return profile
