"""Where a session's tools work: for whom, in which directory, behind which fence, in which lab."""

from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from benchwire.agent.blueprint import Blueprint
from benchwire.agent.claim import Claim
from benchwire.agent.lab import Lab
from benchwire.agent.sandbox import Sandbox
from benchwire.agent.work import Verdict, Work
from benchwire.events.session import SessionRequested


class Place(Struct, frozen=True, kw_only=True):
    """One session's place.

    ``owner`` marks the processes that its tools start; ``timeout_s`` is how long one call of a shell may take unless the model says otherwise.
    """

    request: SessionRequested
    blueprint: Blueprint | None
    workdir: Path
    sandbox: Sandbox
    lab: Lab
    claim: Claim
    work: Work
    owner: str
    timeout_s: float

    @property
    def session_id(self) -> str:
        """Whose place it is."""
        return self.request.session_id

    @property
    def ends(self) -> bool:
        """Whether what is broken off now is broken off for good; else a runner goes on with it, and takes over what it holds."""
        return not self.work.leaving and self.work.verdict is not Verdict.LOST

    def named_after(self, use_id: str, kind: str) -> str:
        """The id of what the call ``use_id`` makes in the lab: the same again when the call is made again, here or by another runner."""
        return f"{kind}_{sha256(f'{self.session_id}/{use_id}'.encode()).hexdigest()[:32]}"
