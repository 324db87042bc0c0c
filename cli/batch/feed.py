"""A batch's results as they come: new ones while it runs, all others once it has ended."""

import tempfile
from collections.abc import Callable, Iterable, Iterator

import orjson

from broker.completion import Json
from cli.client.client import Client
from cli.commands.batch.progress import ENDED

PAGE = 500


def pages(client: Client, batch_id: str, ended_after: float = 0) -> Iterator[Json]:
    """Yield a batch with its results, a page at a time in the order of the input.

    Those before `ended_after` (Unix seconds) are left out. Raises ServerError.
    """
    after, has_more = 0, True
    while has_more:
        wanted: dict[str, str | int] = {"results": "true", "limit": PAGE, "after": after}
        if ended_after:
            wanted["ended_after"] = str(ended_after)
        page = client.get(f"/batches/{batch_id}", wanted)
        yield page
        after, has_more = page["last_line"], page["has_more"]


class Feed:
    """Hands on each result of a batch once, but for lines that are known already."""

    def __init__(
        self, client: Client, batch_id: str, known: Iterable[str], hand_on: Callable[[Json], None]
    ) -> None:
        self._client = client
        self._batch_id = batch_id
        self._seen = set(known)
        self._hand_on = hand_on
        self._since = 0.0

    def look(self) -> Json:
        """Hand on what is new; return the batch. Raises ServerError."""
        until = None
        for batch in pages(self._client, self._batch_id, self._since):  # there is one at least
            until = until or batch["complete_until"]
            if batch["status"] in ENDED:
                self._from_files(batch)
                break
            for result in batch["results"]:
                self._once(result)
        self._since = until or self._since
        return batch

    def _from_files(self, batch: Json) -> None:
        """Hand on what the files of an ended batch have: it is complete, whatever was missed."""
        for file_id in (batch["output_file_id"], batch["error_file_id"]):
            if file_id is None:
                continue
            with tempfile.TemporaryFile() as file:
                self._client.download(f"/files/{file_id}/content", file)
                file.seek(0)
                for raw in file:
                    self._once(orjson.loads(raw))

    def _once(self, result: Json) -> None:
        if result["custom_id"] not in self._seen:
            self._seen.add(result["custom_id"])
            self._hand_on(result)
