"""Where what a model wrote is compiled and run: without network, without the host's files, never as root, within limits.

With bubblewrap (``bwrap``) a command sees ``/usr`` read-only, an empty ``/tmp`` of limited size, and one writable directory, its work
directory, at ``/sandbox``; nothing else of the host, no network, no other process, and no way to a namespace of its own. It dies with
its owner. Where bubblewrap does not work nothing is run, unless the operator allowed ``limits`` by name: then the host's files are as
readable as they are for the user that the command runs as, and it has the host's network.

A runner that is root gives each work directory, and what runs in it, an id of its own (``ids``): the kernel counts no processes of
root's, mapped or not. What is limited, and by what: ``limits``.

A compiler outside ``/usr`` is not seen from inside.
"""

from benchwire.agent.sandbox.detecting import detect
from benchwire.agent.sandbox.fence import INSIDE
from benchwire.agent.sandbox.ids import Ids
from benchwire.agent.sandbox.interpreter import python_paths
from benchwire.agent.sandbox.leftovers import remove, sweep
from benchwire.agent.sandbox.limits import Finished, Limits
from benchwire.agent.sandbox.output import collect, keep, text
from benchwire.agent.sandbox.sandbox import WORKDIR, Kind, Sandbox, SandboxUnavailable
from benchwire.agent.sandbox.watch import Watch

__all__ = [
    "INSIDE", "WORKDIR", "Finished", "Ids", "Kind", "Limits", "Sandbox", "SandboxUnavailable", "Watch", "collect", "detect", "keep",
    "python_paths", "remove", "sweep", "text",
]  # fmt: skip
