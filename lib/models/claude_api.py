"""Calls to the Claude API, each within bounds: what was asked for comes back, or the reason why not. Only this imports
anthropic. Needs ANTHROPIC_API_KEY; no profile on disk is used.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from typing import Any

import anthropic
import httpx2
from anthropic.types import Message, MessageTokensCount, ModelInfo
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

TRIES = 4  # of one call
LONGEST_WAIT_S, TIMEOUT_S = 60, 60


class Unusable(Exception):
    """No usable reply; the text says why.

    again: nothing was paid, and another try may succeed. maybe_paid: it may have been done, and the reply was lost.
    """

    def __init__(self, reason: str, *, again: bool = False, maybe_paid: bool = False):
        super().__init__(reason)
        self.again, self.maybe_paid = again, maybe_paid


class Unknown(Unusable):
    """The API does not know the model or the batch."""


def available() -> bool:
    """Whether ANTHROPIC_API_KEY is set in the environment. Nothing else counts."""
    return bool(os.environ.get("ANTHROPIC_API_KEY", "").strip())


class Api:
    """The calls that the workbook makes, one at a time, none after `deadline` (of time.monotonic).

    Each raises Unusable when it fails, and RuntimeError when the key is refused. A call that may have been paid is not
    repeated: the API has no way to tell a repetition from a second order.
    """

    def __init__(self):
        if not available():
            raise RuntimeError("Claude needs ANTHROPIC_API_KEY: export it in the shell that starts this, or go without")
        self.deadline = float("inf")
        limits = {"max_retries": TRIES - 1, "timeout": TIMEOUT_S, "middleware": [self._bounded]}
        self._api = anthropic.Anthropic(api_key=os.environ["ANTHROPIC_API_KEY"].strip(), **limits)

    def model(self, name: str) -> ModelInfo:
        """What the API says of a model, its `lifecycle` among it."""
        return self._call(partial(self._api.models.retrieve, name), ModelInfo)

    def count_tokens(self, body: dict) -> int:
        """Input tokens of a request, which costs nothing."""
        counted = {name: value for name, value in body.items() if name != "max_tokens"}
        return self._call(partial(self._api.messages.count_tokens, **counted), MessageTokensCount).input_tokens

    def message(self, body: dict) -> Message:
        """The message that answers a request."""
        return self._call(partial(self._api.messages.create, **body), Message)

    def latest_batch(self) -> str | None:
        """The id of the newest batch there is."""
        return self._call(lambda: next((batch.id for batch in self._batches()), None), str | None)

    def find_batch(self, *, after: str | None, size: int) -> str | None:
        """The id of a batch of this size that is newer than the batch `after`."""
        newer = takewhile(lambda batch: batch.id != after, self._batches())
        return self._call(lambda: next((batch.id for batch in newer if size_of(batch) == size), None), str | None)

    def create_batch(self, requests: dict[str, dict]) -> str:
        """The id of a new batch of these requests. One try: look for it with `find_batch` before another."""
        items = [{"custom_id": key, "params": body} for key, body in requests.items()]
        create = self._api.with_options(max_retries=0).messages.batches.create
        return self._call(partial(create, requests=items), MessageBatch).id

    def batch(self, batch_id: str) -> MessageBatch:
        """How far a batch is."""
        return self._call(partial(self._api.messages.batches.retrieve, batch_id), MessageBatch)

    def results(self, batch_id: str) -> dict[str, Any]:
        """The results of a batch that has ended, by the keys of its requests; some are missing when the stream broke."""
        lines = self._call(lambda: list(self._api.messages.batches.results(batch_id)), list)
        whole = [line for line in lines if isinstance(line, MessageBatchIndividualResponse)]
        return {line.custom_id: line.result for line in whole}

    def _batches(self) -> Iterator[MessageBatch]:
        """All batches, the newest first."""
        yield from self._api.messages.batches.list(limit=100)

    def _call(self, send: Callable, kind: Any) -> Any:
        try:
            found = send()
        except (anthropic.AuthenticationError, anthropic.PermissionDeniedError) as error:
            raise RuntimeError(f"the API refused ANTHROPIC_API_KEY (HTTP {error.status_code}): check the key") from None
        except anthropic.NotFoundError as error:
            raise Unknown(self._describe(error)) from None
        except anthropic.APIStatusError as error:
            passing = error.status_code in (408, 409, 429) or error.status_code >= 500
            raise Unusable(self._describe(error), again=passing) from None
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError) as error:  # ValueError: the reply is not JSON
            raise Unusable(self._describe(error), maybe_paid=True) from None
        if not isinstance(found, kind):
            raise Unusable("API error: the reply is not what was asked for", maybe_paid=True)
        return found

    def _describe(self, error: Exception) -> str:
        return f"API error: {type(error).__name__}: {error}".replace(self._api.api_key, "***")[:200]

    def _bounded(self, request: Any, call_next: Callable) -> Any:
        """Around each try of the SDK, which would else sleep through any Retry-After, days included, and send a request
        a second time when only its reply was lost.
        """
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise Unusable("claude.deadline_s is over")
        try:
            response = call_next(request)
        except anthropic.APIConnectionError as error:
            if request.method.upper() == "GET" or isinstance(error.__cause__, httpx2.ConnectError):
                raise
            raise Unusable("API error: the connection broke after the request was sent", maybe_paid=True) from None
        if _wait_asked_s(response.headers) > min(LONGEST_WAIT_S, left_s):
            response.http_response.headers["x-should-retry"] = "false"
        return response


def size_of(batch: MessageBatch) -> int:
    """The number of a batch's requests; 0 when the API does not say."""
    counts = batch.request_counts
    return sum((counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired)) if counts else 0


def message_of(result: Any) -> Message:
    """The message of one result of a batch. Raises Unusable when it has none: such a request is not paid for."""
    kind = getattr(result, "type", "missing from its batch")
    if kind == "succeeded":
        return result.message
    if kind != "errored":
        raise Unusable(f"the request is {kind}", again=True)
    error = getattr(result.error, "error", None)
    kind, detail = getattr(error, "type", None), getattr(error, "message", None)
    raise Unusable(f"the request failed: {kind}: {detail}"[:200], again=kind != "invalid_request_error")


def whole_text(message: Message) -> str:
    """The text of a message that ended of itself. Raises Unusable when it was refused, cut short, or is empty."""
    if message.stop_reason != "end_turn":
        category = getattr(message.stop_details, "category", None)
        raise Unusable(f"no whole reply: stop reason {message.stop_reason}, category {category}")
    if text := "".join(block.text for block in message.content if block.type == "text").strip():
        return text
    raise Unusable("an empty reply")


def cited_documents(message: Message) -> list[int]:
    """The places, from 0, of the documents of the request that a message cites, in the order in which it first does."""
    cites = [cite for block in message.content if block.type == "text" for cite in block.citations or ()]
    places = [getattr(cite, "document_index", None) for cite in cites]
    return list(dict.fromkeys(place for place in places if isinstance(place, int)))


def _wait_asked_s(headers: Any) -> float:
    """Seconds that the API asks to wait; a date is taken for too long."""
    try:
        return float(headers.get("retry-after-ms", 0)) / 1000 or float(headers.get("retry-after", 0))
    except ValueError:
        return float("inf")
