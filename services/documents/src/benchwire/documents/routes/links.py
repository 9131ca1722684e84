"""How documents, bytes and things of the lab hang together."""

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from benchwire.documents import things, wire
from benchwire.documents.fields import checked_digest
from benchwire.documents.store import Store
from benchwire.documents.things import ARTIFACT, Thing
from benchwire.web.described import described


@post("/documents/{document_id:str}/links", status_code=201, opt=described(example=wire.EXAMPLE_LINK))
async def link_document(
    document_id: FromPath[str], data: JSONBody[wire.NewLink], store: NamedDependency[Store]
) -> wire.Document:
    """Relates a document to another, or to a thing of the lab: it is ``derived_from``, ``part_of`` or ``supersedes`` it."""
    return wire.shown(await store.link(document_id, data.kind, data.to), store.base_url)


@delete("/documents/{document_id:str}/links/{kind:str}/{to:path}", status_code=200)
async def unlink_document(
    document_id: FromPath[str], kind: FromPath[str], to: FromPath[str], store: NamedDependency[Store]
) -> wire.Document:
    """Takes a relation back."""
    return wire.shown(await store.unlink(document_id, kind, to.removeprefix("/")), store.base_url)


@get("/links", opt=described(refuses=(404,)))
async def list_links(of: FromQuery[str], store: NamedDependency[Store]) -> wire.Related:
    """What hangs together with a document, ``session:ID``, ``task:ID``, ``flash:JOB``, ``device:HOST/DEVICE`` or ``artifact:SHA-256``."""
    thing = things.parsed(of)
    return wire.related(things.written(thing), await store.relations_of(thing))


@get("/artifacts/{digest:str}/links")
async def artifact_links(digest: FromPath[str], store: NamedDependency[Store]) -> wire.ArtifactLinks:
    """What made these bytes, what was flashed with them, and the documents that have them."""
    digest = checked_digest(digest)
    relations = await store.relations_of(Thing(ARTIFACT, digest))
    return wire.artifact_links(digest, await store.documents_with(digest), relations)


ROUTES = [link_document, unlink_document, list_links, artifact_links]
