"""Replies of Claude: each request is sent once, paid once, and cached by its content.

Many requests go as one Message Batch, at half the price. A batch is written down before it is sent, so that a crash
neither loses a reply nor pays for it twice.
"""

import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from lib import progress, runs, studies
from lib.models.claude_api import TRIES, Api, Unknown, Unusable, cited_documents, message_of, size_of, whole_text

# US dollars per million tokens (input, output); check before a large run. A batch costs BATCH_FACTOR of it.
PRICES_AS_OF = "November 2026"
PRICES_USD_PER_MTOK = {
    "claude-haiku-5-5": (0.10, 0.50),
    "claude-sonnet-5-5": (2.0, 10.0),
    "claude-opus-5-5": (4.0, 20.0),
    "claude-fable-5-1": (10.0, 50.0),
}
BATCH_FACTOR = 0.5
BYTES_PER_TOKEN = 3  # of a request as JSON; English has more, so that a cost is rather over- than underestimated
BATCH_SIZE = 10_000  # the API takes 100,000 requests or 256 MB
ROUNDS = 3  # how often a request is sent that expired, erred or was cancelled


def cost_usd(model: str, tokens_in: float, tokens_out: float, *, batch: bool) -> float:
    """The price of so many tokens in US dollars. Raises KeyError for a model without a known price."""
    price_in, price_out = PRICES_USD_PER_MTOK[model]
    return (tokens_in * price_in + tokens_out * price_out) / 1e6 * (BATCH_FACTOR if batch else 1)


def estimated_tokens(body: dict) -> float:
    """Input tokens of a request, estimated from its length: one for every BYTES_PER_TOKEN bytes."""
    return len(json.dumps(body).encode()) / BYTES_PER_TOKEN


def worst_usd(body: dict, *, batch: bool) -> float:
    """What a request costs when its reply is as long as it may be, thinking included."""
    return cost_usd(body["model"], estimated_tokens(body), body["max_tokens"], batch=batch)


def spent_usd(study: str) -> float:
    """What a study has paid since the cache was made."""
    return sum(entry["usd"] for entry in runs.Journal("claude", f"spent-{study}").entries)


def paid(study: str, probe: str, bodies: Iterable[dict]) -> dict:
    """One line of a notebook's ledger: what a study has paid for these requests, now or in an earlier run, each counted once.

    Replies that were of no use are in it, and lost ones at their worst price, with 0 tokens. What another study paid for
    is free. `seconds` is 0: waiting for Claude is no computing here.
    """
    asked = {runs.content_hash(body) for body in bodies}
    booked = [entry for entry in runs.Journal("claude", f"spent-{study}").entries if entry.get("request") in asked]
    return {
        "condition": "claude",
        "seed": 0,
        "probe": probe,
        "requests": len(asked),
        "prompt_tokens": sum(entry["tokens"][0] for entry in booked),
        "answer_tokens": sum(entry["tokens"][1] for entry in booked),
        "usd": sum(entry["usd"] for entry in booked),
        "seconds": 0.0,
    }


class Replies:
    """The replies to the requests of one study, from the cache or the API, within the study's limits.

    One request or one batch is in flight at a time, over all processes that share the cache. `spent_usd` is what the
    study's requests have cost since the cache was made, as of the last reply.
    """

    def __init__(self, study: studies.Study):
        if study.claude is None:
            raise RuntimeError(f"study {study.name} has no section `claude`: give it answer_model and judge_model")
        if unpriced := {study.claude.answer_model, study.claude.judge_model} - set(PRICES_USD_PER_MTOK):
            raise RuntimeError(f"no price known for {sorted(unpriced)}: add it to PRICES_USD_PER_MTOK in {__name__}")
        self._study, self._settings, self._api = study.name, study.claude, Api()
        self._checked, self.spent_usd = set(), 0.0

    def get(self, bodies: list[dict], read: Callable[[str], Any]) -> list[Any]:
        """`read` of the reply to each request, in order, or the Unusable that says why there is none.

        Args:
            bodies: Messages API requests; equal ones are sent once.
            read: makes of a reply's text what is wanted, or raises Unusable.

        Raises RuntimeError, saying what to do, when key or model are refused, when the requests could cost more than is
        left of max_usd, and when a batch cannot be sent or does not end in time: the next call then goes on with it.
        """
        wanted = {runs.content_hash(body): body for body in bodies}
        failed = {}
        if _missing(wanted, failed):
            with runs.locked(_ticket_path().parent):
                failed = self._obtain(wanted)
        found = {key: _read(key, read, failed) for key in wanted}
        return [found[runs.content_hash(body)] for body in bodies]

    def _obtain(self, wanted: dict[str, dict]) -> dict[str, Unusable]:
        """Cache the replies to `wanted`, but for those returned."""
        self._api.deadline = time.monotonic() + self._settings.deadline_s
        self._ledger = runs.Journal("claude", f"spent-{self._study}")
        self._booked = {entry["reply"] for entry in self._ledger.entries}
        self.spent_usd = sum(entry["usd"] for entry in self._ledger.entries)
        failed = self._resume() if _ticket_path().exists() else {}
        for _ in range(ROUNDS):
            missing = _missing(wanted, failed)
            for model in {body["model"] for body in missing.values()} - self._checked:
                self._check(model)
            failed |= self._one_by_one(missing) if len(missing) < self._settings.batch_from else self._batches(missing)
        return failed

    def _check(self, model: str) -> None:
        try:
            retired = self._api.model(model).lifecycle == "retired"
        except Unknown:
            retired = True
        except Unusable as problem:
            raise RuntimeError(f"the Claude API cannot be used now: {problem}; run again later") from None
        if retired:
            raise RuntimeError(f"the API has no model {model!r}, or no longer: change the study's section `claude`")
        self._checked.add(model)

    def _afford(self, bodies: Iterable[dict], *, batch: bool) -> None:
        worst = sum(worst_usd(body, batch=batch) for body in bodies)
        if self.spent_usd + worst > self._settings.max_usd:
            raise RuntimeError(
                f"${self.spent_usd:.4f} spent on Claude by study {self._study}, and what is to be sent may cost "
                f"${worst:.4f}: raise claude.max_usd in the study file, now {self._settings.max_usd}"
            )

    def _book(self, reply: str, key: str, usd: float, tokens: tuple[int, int] = (0, 0)) -> None:
        # By the reply's own id, because a crash may let the same reply be read again.
        if reply not in self._booked:
            self._ledger.append({"reply": reply, "usd": usd, "request": key, "tokens": tokens})
            self._booked.add(reply)
            self.spent_usd += usd

    def _keep(self, key: str, body: dict, message: Any, *, batch: bool) -> None:
        """Book the message and cache its text. Raises Unusable when it is not a whole one."""
        if None in [getattr(message, field, None) for field in ("id", "usage", "content")]:
            raise Unusable("API error: the reply is not a message", maybe_paid=True)
        usage = message.usage
        tokens = usage.input_tokens or 0, usage.output_tokens or 0
        self._book(message.id, key, cost_usd(body["model"], *tokens, batch=batch), tokens)
        reply = {"request": body, "text": whole_text(message), "cited": cited_documents(message)}
        runs.write_json(_reply_path(key), {**reply, "usage": usage.to_dict()})

    def _one_by_one(self, bodies: dict[str, dict]) -> dict[str, Unusable]:
        failed = {}
        for key, body in bodies.items():
            self._afford([body], batch=False)
            try:
                self._keep(key, body, self._api.message(body), batch=False)
            except Unusable as problem:
                if problem.maybe_paid:
                    self._book(f"{key}, lost at {time.time_ns()}", key, worst_usd(body, batch=False))
                failed[key] = Unusable(str(problem))  # tried often enough
        return failed

    def _batches(self, bodies: dict[str, dict]) -> dict[str, Unusable]:
        self._afford(bodies.values(), batch=True)
        failed, keys = {}, list(bodies)
        for start in range(0, len(keys), BATCH_SIZE):
            latest = self._needed(self._api.latest_batch)
            requests = {key: bodies[key] for key in keys[start : start + BATCH_SIZE]}
            ticket = {"id": None, "latest": latest, "requests": requests}
            runs.write_json(_ticket_path(), ticket)
            failed |= self._finish({**ticket, "id": self._send(ticket)})
        return failed

    def _resume(self) -> dict[str, Unusable]:
        """Go on with the batch that an earlier run left; without its id, it is looked for, and else was never sent."""
        ticket = json.loads(_ticket_path().read_text(encoding="utf-8"))
        ticket["id"] = ticket["id"] or self._find(ticket)
        if ticket["id"]:
            return self._finish(ticket)
        _ticket_path().unlink()
        return {}

    def _find(self, ticket: dict) -> str | None:
        """The batch of a ticket by its size and age. Another user's that fits by chance costs a wait and nothing else:
        replies are matched by the content of their requests.
        """
        return self._needed(partial(self._api.find_batch, after=ticket["latest"], size=len(ticket["requests"])))

    def _send(self, ticket: dict) -> str:
        for _ in range(TRIES):
            try:
                return self._api.create_batch(ticket["requests"])
            except Unusable as error:
                problem = error
            if not (problem.again or problem.maybe_paid):
                break
            time.sleep(self._settings.poll_s)
            if sent := self._find(ticket):
                return sent
        _ticket_path().unlink()
        raise RuntimeError(f"the Claude API took no batch: {problem}; run again to go on")

    def _finish(self, ticket: dict) -> dict[str, Unusable]:
        """Wait for the end of a ticket's batch and cache its replies, but for those returned."""
        runs.write_json(_ticket_path(), ticket)
        failed, results = {}, self._results(ticket["id"], len(ticket["requests"]))
        for key, body in ticket["requests"].items():
            try:
                self._keep(key, body, message_of(results.get(key)), batch=True)
            except Unusable as problem:
                if problem.maybe_paid:
                    self._book(f"{key}, lost in {ticket['id']}", key, worst_usd(body, batch=True))
                failed[key] = problem
        _ticket_path().unlink()
        return failed

    def _results(self, batch_id: str, size: int) -> dict[str, Any]:
        """The results of a batch once it has ended; none when the API has forgotten it."""
        for _ in range(TRIES):
            try:
                batch = self._ended(batch_id, size)
                results = {} if batch.archived_at else self._api.results(batch_id)
                if batch.archived_at or len(results) >= size_of(batch):
                    return results
                problem = f"{len(results)} of {size_of(batch)}"
            except Unknown:
                return {}
            except Unusable as error:
                problem = error
            time.sleep(self._settings.poll_s)
        raise RuntimeError(f"the results of batch {batch_id} cannot be read: {problem}; run again to go on")

    def _ended(self, batch_id: str, size: int):
        problem = "it is in progress"
        with progress.bar(total=size, label="Claude batch", unit="request") as bar:
            while True:
                try:
                    batch = self._api.batch(batch_id)
                    if batch.processing_status == "ended" and size_of(batch):
                        return batch
                except Unknown:
                    raise
                except Unusable as error:
                    problem = error  # the next look may go better
                if time.monotonic() + self._settings.poll_s > self._api.deadline:
                    limit = f"claude.deadline_s, {self._settings.deadline_s:g} s"
                    raise RuntimeError(f"batch {batch_id} did not end within {limit}: {problem}; run again to go on")
                time.sleep(self._settings.poll_s)
                bar.update(0)

    def _needed(self, call: Callable) -> Any:
        try:
            return call()
        except Unusable as problem:
            raise RuntimeError(f"the Claude API cannot be used now: {problem}; run again later") from None


def _ticket_path() -> Path:
    """Where the batch in flight is written down; there is one at most."""
    return runs.cache_dir("claude", "batch") / "batch.json"


def _reply_path(key: str) -> Path:
    return runs.cache_dir("claude", key) / "reply.json"


def beside_text(body: dict) -> dict:
    """What the cached reply to a request holds beside its text: `cited`, the places of the documents of the request that it
    cites, and the tokens that were read and written.
    """
    reply = json.loads(_reply_path(runs.content_hash(body)).read_text(encoding="utf-8"))
    read, written = (reply["usage"].get(name) or 0 for name in ("input_tokens", "output_tokens"))
    return {"cited": tuple(reply.get("cited", ())), "prompt_tokens": read, "answer_tokens": written}


def _missing(wanted: dict[str, dict], failed: dict[str, Unusable]) -> dict[str, dict]:
    """What is still to be sent: neither cached nor failed for good."""
    final = {key for key, problem in failed.items() if not problem.again}
    return {key: body for key, body in wanted.items() if key not in final and not _reply_path(key).exists()}


def _read(key: str, read: Callable, failed: dict[str, Unusable]) -> Any:
    if not _reply_path(key).exists():
        return failed[key]
    try:
        return read(json.loads(_reply_path(key).read_text(encoding="utf-8"))["text"])
    except Unusable as problem:
        _reply_path(key).unlink()  # so that another run asks again
        return problem
