"""Who may say what on NATS: the subjects that each part's user may publish on and subscribe to. Pure.

Derived from the catalog (who writes which event), the asks (who asks whom) and the queues (who works on what), and from what JetStream's API asks
of whoever reads a stream. Everything else is refused by the server. What subjects alone cannot hold is in
docs/decisions/010-what-a-hostile-host-can-reach.md.
"""

from collections.abc import Iterable, Sequence

import msgspec

from benchwire.events.asks import ASKS, replies_of
from benchwire.events.catalog import (
    AGENT,
    CATALOG,
    DOCUMENTS,
    FACTS,
    FLASH_AGENT,
    OBSERVABILITY,
    QUEUES,
    SAMPLES,
    fill,
)
from benchwire.events.event import token
from benchwire.events.presence import BACKUP as _MARK
from benchwire.events.snapshots.record import BUCKET as _COPIES
from benchwire.events.snapshots.record import names_of, subjects_of
from benchwire.events.streams import ARTIFACTS, LIVE, PRESENCE, STREAM

ADMIN = "admin"
OPERATOR = "operator"
NATS = "nats"
BACKUP = "backup"

SERVICES = (OBSERVABILITY, DOCUMENTS, AGENT, FLASH_AGENT)
ANSWER_WITHIN_S = 600  # of a request, the server lets the reply through for so long

_BYTES = f"OBJ_{ARTIFACTS}"
_THERE = f"KV_{PRESENCE}"
_API = "$JS.API"
_HEAR_SAMPLES = (OBSERVABILITY, AGENT)
_ON_CONSUMERS = ("CREATE", "MSG.NEXT", "DELETE")


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """What one user may do. Without limits (``free``) it may do everything in its account.

    ``withheld`` is taken out of ``publish`` again. ``answers`` lets it reply to whoever looks for services (``nats micro ls``); what it answers to
    asks is among what it may publish.
    """

    publish: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    answers: bool = False
    free: bool = False

    def may_publish(self, subject: str) -> bool:
        """Whether the server lets it publish on ``subject``, as an answer left aside."""
        granted = any(covers(one, subject) for one in self.publish)
        return self.free or (granted and not any(covers(one, subject) for one in self.withheld))

    def may_subscribe(self, subject: str) -> bool:
        """Whether the server lets it listen to ``subject``, which may have wildcards."""
        return self.free or any(covers(one, subject) for one in self.subscribe)


def of(part: str, host: str, hosts: Sequence[str]) -> Permissions:
    """What the user of ``part`` on ``host`` may do in a lab with boards on ``hosts``. Raises ``LookupError`` for no such part.

    Of a host that has no user in this lab nothing has to be withheld, so ``hosts`` are all that have one.
    """
    token(host, "host")
    match part:
        case "admin":
            return Permissions(free=True)
        case "operator":
            return _operator(host, hosts)
        case "nats":
            return Permissions(
                publish=_sorted([*_looks(), *_announces(NATS, host)]), subscribe=(f"{inbox_of(NATS, host)}.>",)
            )
        case "backup":
            return _backup(host)
        case _ if part in SERVICES:
            return _service(part, host, hosts)
        case _:
            raise LookupError(
                f"there is no part {part!r}; there are {', '.join((ADMIN, OPERATOR, NATS, BACKUP, *SERVICES))}"
            )


def all_of(parts: Iterable[str], host: str, hosts: Sequence[str]) -> Permissions:
    """What a host may do on which several parts run behind one connection, a leaf node: what any of them may."""
    each = [of(part, host, hosts) for part in parts]
    return Permissions(
        publish=_sorted(subject for one in each for subject in one.publish),
        withheld=_sorted(
            subject for one in each for subject in one.withheld if not any(other.may_publish(subject) for other in each)
        ),
        subscribe=_sorted(subject for one in each for subject in one.subscribe),
        answers=any(one.answers for one in each),
        free=any(one.free for one in each),
    )


def inbox_of(part: str, host: str) -> str:
    """The prefix of the subjects on which that user gets replies; nobody else may listen there."""
    return f"_INBOX.{part}.{host}"


def covers(filter_: str, subject: str) -> bool:
    """Whether everything on ``subject`` falls under ``filter_``, as NATS sees it."""
    granted, asked = filter_.split("."), subject.split(".")
    for place, one in enumerate(granted):
        if one == ">":
            return len(asked) > place
        if place >= len(asked) or asked[place] == ">" or one not in ("*", asked[place]):
            return False
    return len(granted) == len(asked)


def _service(part: str, host: str, hosts: Sequence[str]) -> Permissions:
    own = {"host": host} if part == FLASH_AGENT else {}
    answered = [fill(ask.subject, own) for ask in ASKS if ask.answerer == part]
    publish = [
        *(fill(entry.subject, own) for entry in CATALOG if part in entry.writers),
        *(fill(ask.subject, {}) for ask in ASKS if part in ask.askers),
        *(f"{replies_of('_INBOX.*.*', subject)}.*" for subject in answered),
        *_looks(),
        *_reads(STREAM, *([LIVE] if part in _HEAR_SAMPLES else []), _BYTES, _COPIES),
        *_works(part, own),
        *_announces(part, host if part in (AGENT, FLASH_AGENT) else "*"),
        *(f"$O.{ARTIFACTS}.{kind}.*" for kind in "CM"),
        *(subject for name in names_of(part, host) for subject in subjects_of(name)),
        *_destroys(part),
    ]
    inbox = inbox_of(part, host)
    listens = [f"{inbox}.>", *([SAMPLES] if part == OBSERVABILITY else [])]
    listens += [replies_of(inbox, fill(ask.subject, {})) + ".*" for ask in ASKS if part in ask.askers]
    return Permissions(
        publish=_sorted(publish),
        withheld=_withheld(part, own, hosts),
        subscribe=_sorted([*listens, *answered, *(_is_found(part) if answered else [])]),
        answers=bool(answered),
    )


def _operator(host: str, hosts: Sequence[str]) -> Permissions:
    looks_around = [f"{_API}.INFO", f"{_API}.STREAM.NAMES", f"{_API}.STREAM.LIST", f"{_API}.CONSUMER.INFO.*.*"]
    asks_who_serves = [f"$SRV.{verb}{rest}" for verb in ("PING", "INFO", "STATS") for rest in ("", ".>")]
    return Permissions(
        publish=_sorted([*_looks(), *_reads(STREAM, LIVE, _BYTES), *looks_around, *asks_who_serves]),
        withheld=_withheld(OPERATOR, {}, hosts),
        # Not the usual inbox of tools: to a server, whoever may listen to _INBOX.* may listen to _INBOX.> as well.
        subscribe=_sorted([FACTS, SAMPLES, f"{inbox_of(OPERATOR, host)}.>"]),
    )


def _backup(host: str) -> Permissions:
    """Snapshots, how far the queues are, the records of the artifacts, and the mark of a backup under way."""
    streams = (STREAM, _BYTES, _COPIES)
    return Permissions(
        publish=_sorted(
            [
                *_looks(),
                *(f"{_API}.STREAM.SNAPSHOT.{one}" for one in streams),
                *(f"$JS.SNAPSHOT.ACK.{one}.>" for one in streams),
                f"{_API}.CONSUMER.LIST.{STREAM}",
                *_reads(_BYTES),
                *_announces(*_MARK),
            ]
        ),
        subscribe=(f"{inbox_of(BACKUP, host)}.>",),
    )


def _looks() -> list[str]:
    """Whether the streams are there, and who is."""
    streams = (STREAM, LIVE, _BYTES, _COPIES, _THERE)
    return [*(f"{_API}.STREAM.INFO.{one}" for one in streams), f"{_API}.STREAM.MSG.GET.{_THERE}"]


def _reads(*streams: str) -> list[str]:
    """Single messages, and consumers of one's own for a while.

    These have names that nobody can guess, and no prefix of a name can be granted; so that of any name is, and those of queues are withheld.
    """
    single = [f"{_API}.STREAM.MSG.GET.{one}" for one in streams]
    made = [f"{_API}.CONSUMER.CREATE.{one}.*{rest}" for one in streams for rest in ("", ".>")]
    used = [f"{_API}.CONSUMER.{verb}.{one}.*" for one in streams for verb in ("MSG.NEXT", "DELETE")]
    return [*single, *made, *used]


def _works(part: str, own: dict[str, str]) -> list[str]:
    """The queues that are its own."""
    names = [_name(queue.name, own) for queue in QUEUES if queue.worker == part]
    return [
        subject
        for name in names
        for subject in (f"{_API}.CONSUMER.DURABLE.CREATE.{STREAM}.{name}", f"$JS.ACK.{STREAM}.{name}.>")
    ]


def _withheld(part: str, own: dict[str, str], hosts: Sequence[str]) -> tuple[str, ...]:
    """What would reach into queues of others: making them other ones, taking from them, deleting them."""
    theirs = {
        _name(queue.name, {"host": host})
        for queue in QUEUES
        for host in hosts
        if queue.worker != part or ("host" in own and own["host"] != host and "{host}" in queue.name)
    }
    subjects = [f"{_API}.CONSUMER.{verb}.{STREAM}.{name}" for name in theirs for verb in _ON_CONSUMERS]
    return _sorted([*subjects, *(f"{_API}.CONSUMER.CREATE.{STREAM}.{name}.>" for name in theirs)])


def _announces(part: str, name: str) -> list[str]:
    return [f"$KV.{PRESENCE}.{part}.{name}"]


def _destroys(part: str) -> list[str]:
    """Whoever deletes a session takes its events out of the log; whoever deletes a document frees its bytes."""
    streams = {OBSERVABILITY: STREAM, DOCUMENTS: _BYTES}
    return [f"{_API}.STREAM.PURGE.{streams[part]}"] if part in streams else []


def _is_found(part: str) -> list[str]:
    """So that ``nats micro ls`` shows it."""
    return ["$SRV.*", f"$SRV.*.{part}", f"$SRV.*.{part}.*"]


def _name(template: str, own: dict[str, str]) -> str:
    return template.format_map(own) if own else template


def _sorted(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(subjects)))
