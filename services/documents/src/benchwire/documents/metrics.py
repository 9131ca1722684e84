"""What the document store counts, and reads when Prometheus asks."""

from benchwire.documents import queries
from benchwire.events.bus import ARTIFACTS, Bus
from benchwire.events.projection import Projection
from benchwire.events.service import version_of
from benchwire.web.metrics import Metric, Metrics


class Numbers(Metrics):
    """The numbers of this service."""

    def __init__(self) -> None:
        super().__init__("documents", version=version_of("benchwire-documents"))
        self._uploads = self.counter("uploads", "Documents that came in.")
        self._uploaded_bytes = self.counter("uploaded_bytes", "Bytes of the documents that came in.")
        self._downloads = self.counter("downloads", "Answers that carried bytes of a document or an artifact.")

    def of_store(self, bus: Bus, projection: Projection) -> None:
        """Reads how much the store holds."""

        async def kept() -> list[Metric]:
            found = await projection.read(queries.holdings)
            return [
                self.one("documents", "Documents there are.", found.documents),
                self.one("blobs", "Different contents of documents.", found.blobs),
                self.one("stored_bytes", "Bytes of the contents of documents, each counted once.", found.size_bytes),
            ]

        async def artifacts() -> list[Metric]:
            state = (await bus.js.stream_info(f"OBJ_{ARTIFACTS}")).state
            size = self.one(
                "artifact_store_bytes", "What the artifact store takes: documents, firmware, overhead.", state.bytes
            )
            return [size]

        self.reads(kept)
        self.reads(artifacts)

    def uploaded(self, size_bytes: int) -> None:
        """A document came in."""
        self._uploads.inc()
        self._uploaded_bytes.inc(size_bytes)

    def downloaded(self) -> None:
        """An answer that carries bytes begins."""
        self._downloads.inc()
