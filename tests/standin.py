"""A stand-in for the Claude API: a real HTTP server on loopback that speaks Messages, token counts, models and batches.

It grades by itself: CORRECT when the reference stands in the answer, else INCORRECT; of two answers it prefers the shorter;
of documents it cites the last one and then the first, in two blocks of text. What it accepted, hence charged, is in
`accepted`. Faults are queued by operation, or set by a function for the requests of a batch.

As a process, python -m tests.standin PORT [CORPUS], it grades by the rules of the key-fact judge, so that a study judged by it
must end with the verdicts of one that was not, and prints what it accepted after every request and batch.
"""

import json
import random
import re
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

KEY = "sk-ant-secret-of-the-test"
COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
EPOCH = "2026-11-21T00:00:00Z"


class Reply(NamedTuple):
    """One HTTP reply, word for word. accepts: the request was done, and is charged. cut: only half of it is sent."""

    status: int
    text: str
    headers: dict = {}
    accepts: bool = False
    cut: bool = False


DROPPED = Reply(0, "")  # the connection ends before the request is done ...
LOST = Reply(0, "", accepts=True)  # ... and after, so that only the reply is lost


def error(status, kind, **headers):
    """An error of the API, which repeats the key; header names are written with underscores."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps({"type": "error", "error": {"type": kind, "message": f"no: {KEY}"}}), names)


def busy(status=529, kind="overloaded_error"):
    """An error that passes, with the permission to try again at once."""
    return error(status, kind, retry_after_ms="1")


def message(text, *, stop_reason="end_turn", tokens=(1000, 100), **more):
    """The fields of a message of the Messages API, but for its id."""
    usage = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
    content = [{"type": "text", "text": text}]
    head = {"type": "message", "role": "assistant", "model": "claude-haiku-5-5"}
    return {**head, "content": content, "stop_reason": stop_reason, "usage": usage, **more}


def sent(text, **more):
    """The reply that carries a message of its own."""
    return Reply(200, json.dumps({"id": f"msg_{random.randrange(10**12)}", **message(text, **more)}), accepts=True)


def graded(body):
    """What the stand-in replies to a request: a grade or a preference when asked for one, else the question turned round."""
    text = body["messages"][0]["content"]
    if isinstance(text, list):
        assert "format" not in body["output_config"]  # the API refuses citations in an answer of a prescribed form
        return citing(text)
    if pair := re.fullmatch(r"(?s).*\nAnswer A:\n<<<\n(.*)\n>>>\nAnswer B:\n<<<\n(.*)\n>>>", text):
        better = "A" if len(pair[1]) < len(pair[2]) else "B" if len(pair[2]) < len(pair[1]) else "TIE"
        return message(json.dumps({"reason": "the shorter one", "better": better}))
    item = judged(text)
    if not item:
        return message(text[::-1])
    verdict = "CORRECT" if item["reference"] in json.loads(item["answer"]) else "INCORRECT"
    return message(json.dumps({"reason": f"it is {item['reference']}", "strict": verdict, "relaxed": verdict}))


def citing(content):
    """The question after some documents turned round, in two blocks that cite the last document, and then both ends."""
    *documents, asked = content
    assert all(document["citations"] == {"enabled": True} for document in documents)
    last, text = len(documents) - 1, asked["text"][::-1]
    return message("", content=[cited(text[:5], last), cited(text[5:], last, 0)])


def cited(text, *places):
    """A block of text that cites the documents of these places."""
    where = {"type": "char_location", "cited_text": "x", "start_char_index": 0, "end_char_index": 1}
    return {"type": "text", "text": text, "citations": [{**where, "document_index": place} for place in places]}


def judged(text):
    """The question, reference and answer (as JSON) of what a judge is shown, in either order; None of any other text."""
    reference, answer = "Reference: (?P<reference>.*)", r"Answer:\n<<<\n(?P<answer>.*)\n>>>"
    orders = (f"{reference}\n{answer}", f"{answer}\n{reference}")
    found = [match for order in orders if (match := re.fullmatch(f"Question: (?P<question>.*)\n{order}", text))]
    return found[0].groupdict() if found else None


class StandIn:
    """The server, running from its creation until `close`.

    queued: replies to come, by operation (message, count_tokens, model, create, list, poll, results), before it does its work.
    answer: the message that replies to a request, but for its id.
    outcome: the result of a request of a batch, given its body and how often it was asked; a message without id succeeds.
    accepted: the bodies that were done and charged, in order. seen: (operation, headers, body) of every request.
    on: functions called, with nothing, when an operation was done and before it is replied to.
    """

    def __init__(self, port=0, answer=graded):
        self.queued, self.accepted, self.seen, self.on = {}, [], [], {}
        self.answer, self.outcome = answer, lambda body, times: self.answer(body)
        self.batches, self.polls_until_end, self.lifecycle = {}, 1, "active"
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def count(self, operation):
        """How many requests of an operation came in, refused ones included."""
        return sum(name == operation for name, _, _ in self.seen)

    def reply(self, method, path, headers, body):
        operation, batch_id = _operation(method, path)
        with self.lock:
            self.seen.append((operation, headers, body))
            queue = self.queued.get(operation, [])
            planned = queue.pop(0) if queue else None
            done = Reply(200, getattr(self, operation)(body, batch_id)) if planned is None or planned.accepts else None
        self.on.get(operation, lambda: None)()
        if planned is None:
            return done
        return done._replace(cut=True) if planned.cut else planned

    def message(self, body, _):
        self.accepted.append(body)
        return json.dumps({"id": f"msg_{len(self.accepted)}", **self.answer(body)})

    def count_tokens(self, body, _):
        return json.dumps({"input_tokens": len(json.dumps(body)) // 4})

    def model(self, _, name):
        return json.dumps({"type": "model", "id": name, "lifecycle": self.lifecycle, "created_at": EPOCH})

    def create(self, body, _):
        requests = {item["custom_id"]: item["params"] for item in body["requests"]}
        assert len(requests) == len(body["requests"])
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", key) for key in requests)
        results = {}
        for key, params in requests.items():
            self.accepted.append(params)
            found = self.outcome(params, self.accepted.count(params))
            if found["type"] == "message":
                found = {"type": "succeeded", "message": {"id": f"msg_{len(self.accepted)}", **found}}
            results[key] = found
        batch_id = f"msgbatch_{len(self.batches)}"
        self.batches[batch_id] = {"results": results, "polls": 0}
        return json.dumps(self.state(batch_id))

    def list(self, _, __):
        """Newest first, as one page."""
        page = [self.state(batch_id) for batch_id in reversed(self.batches)]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return json.dumps({"data": page, "has_more": False, **ends})

    def poll(self, _, batch_id):
        self.batches[batch_id]["polls"] += 1
        return json.dumps(self.state(batch_id))

    def results(self, _, batch_id):
        """In another order than they were asked."""
        items = list(self.batches[batch_id]["results"].items())
        random.Random(0).shuffle(items)
        return "".join(json.dumps({"custom_id": key, "result": result}) + "\n" for key, result in items)

    def state(self, batch_id):
        batch = self.batches[batch_id]
        ended = batch["polls"] > self.polls_until_end
        kinds = [result["type"] if ended else "processing" for result in batch["results"].values()]
        return {
            "type": "message_batch",
            "id": batch_id,
            "created_at": EPOCH,
            "expires_at": EPOCH,
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {kind: kinds.count(kind) for kind in COUNTS},
            "results_url": f"{self.url}/v1/messages/batches/{batch_id}/results" if ended else None,
        }


def _operation(method, path):
    place = path.split("?")[0].removeprefix("/v1/")
    if place.startswith("models/"):
        return "model", place.removeprefix("models/")
    fixed = {
        ("POST", "messages"): "message",
        ("POST", "messages/count_tokens"): "count_tokens",
        ("POST", "messages/batches"): "create",
        ("GET", "messages/batches"): "list",
    }
    if (method, place) in fixed:
        return fixed[method, place], None
    batch_id, _, rest = place.removeprefix("messages/batches/").partition("/")
    return rest or "poll", batch_id


def _handler(standin):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(None)

        def do_POST(self):
            self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def answer(self, body):
            reply = standin.reply(self.command, self.path, dict(self.headers.items()), body)
            self.close_connection = True
            if not reply.status:
                return
            data = reply.text.encode()
            self.send_response(reply.status)
            for name, value in {
                "content-type": "application/json",
                "content-length": len(data),
                **reply.headers,
            }.items():
                self.send_header(name, str(value))
            with suppress(BrokenPipeError, ConnectionResetError):  # nobody may be left to read it
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if reply.cut else data)

        def log_message(self, *args):
            pass

    return Handler


def by_keyfacts(corpus):
    """The stand-in's reply with the verdicts of the key-fact judge, who knows the question by its words."""
    from lib.judging.judges import _by_keyfacts as grade_answer  # slow to import, and no other test needs it

    asked = [(text, q) for q in (*corpus.current, *corpus.questions) for text in (q.screen_text, q.text) if text]
    known = {" ".join(text.split()): question for text, question in asked}

    def answer(body):
        text = body["messages"][0]["content"]
        item = judged(text) if isinstance(text, str) else None
        question = known.get(" ".join(item["question"].split())) if item else None
        if question is None:
            return graded(body)
        found = grade_answer(corpus, question, item["question"], json.loads(item["answer"]))
        return message(json.dumps({"reason": found.reason, "strict": found.strict, "relaxed": found.relaxed}))

    return answer


def main(port, folder="data/itr"):
    """Serve until the process is stopped. PORT 0 takes any that is free."""
    from lib.corpus.load import load_corpus

    server = StandIn(int(port), by_keyfacts(load_corpus(folder)))

    def told():
        different = len({json.dumps(body, sort_keys=True) for body in server.accepted})
        print(
            f"accepted {len(server.accepted)} requests, {different} different, {len(server.batches)} batches",
            flush=True,
        )

    server.on = {"message": told, "create": told}
    print(f"export ANTHROPIC_BASE_URL={server.url} ANTHROPIC_API_KEY=none", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
