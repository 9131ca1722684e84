"""Secrets are taken out of everything that this process publishes, by pattern, on the way to the wire: what is in the log stays there."""

from benchwire.events.redaction.door import Door, configured
from benchwire.events.redaction.kinds import MARK, NAMES, BadKind, marker
from benchwire.events.redaction.speech import Speech

__all__ = ["MARK", "NAMES", "BadKind", "Door", "Speech", "configured", "marker"]
