"""Requests to Claude through the real SDK to a server on loopback: every fault ends in a reply, a reason or a stop, and
nothing is paid twice.
"""

import json
import time

import pytest

from lib import paths, runs
from lib.models import claude_api, claude_replies
from lib.models.claude_api import Unusable
from lib.models.claude_replies import Replies, cost_usd, estimated_tokens, worst_usd
from lib.studies import Claude
from tests import standin as api
from tests.standin import DROPPED, KEY, LOST, Reply, busy, error, message, sent

HAIKU = "claude-haiku-5-5"
CUT = Reply(200, "", accepts=True, cut=True)
GARBLED = Reply(200, '{"type": "mess', accepts=True)
PAGE = Reply(200, "<p>a proxy</p>", {"content-type": "text/html"}, accepts=True)


def body(text, model=HAIKU):
    return {"model": model, "max_tokens": 100, "system": "Turn it.", "messages": [{"role": "user", "content": text}]}


def many(n):
    return [body(f"request {place}") for place in range(n)]


class Study:
    """What Replies reads of a study."""

    def __init__(self, name="tiny", **limits):
        fast = {"batch_from": 3, "poll_s": 0.001, "deadline_s": 20}
        self.name = name
        self.claude = Claude(answer_model=HAIKU, judge_model=HAIKU, **{**fast, **limits})


def get(bodies, read=str, **limits):
    return Replies(Study(**limits)).get(bodies, read)


def turned(bodies):
    return [item["messages"][0]["content"][::-1] for item in bodies]


def reasons(found):
    return [str(reply) if isinstance(reply, Unusable) else None for reply in found]


# One by one


@pytest.mark.parametrize("failure", [busy(429), busy(500), busy(529), error(429, "x", retry_after="0.01")])
def test_a_passing_failure_is_tried_again(standin, failure):
    standin.queued["message"] = [failure]
    assert get(many(1)) == ["0 tseuqer"]
    assert len(standin.accepted) == 1


def test_tries_end_and_the_other_requests_are_still_sent(standin):
    standin.queued["message"] = [busy()] * 4
    first, second = get(many(2))
    assert "overloaded" in str(first) and second == "1 tseuqer"
    assert standin.count("message") == 5


@pytest.mark.parametrize("name", ["retry_after", "retry_after_ms"])
@pytest.mark.parametrize("wait", ["86400000", "Fri, 21 Nov 2036 00:00:00 GMT"])
def test_a_long_wait_is_refused(standin, name, wait):
    standin.queued["message"] = [error(429, "rate_limit_error", **{name: wait})]
    [reply] = get(many(1))
    assert isinstance(reply, Unusable) and standin.count("message") == 1


def test_a_wait_beyond_the_deadline_is_refused(standin):
    standin.queued["message"] = [error(429, "rate_limit_error", retry_after="30")]
    assert isinstance(get(many(1), deadline_s=10)[0], Unusable)


def test_nothing_is_sent_after_the_deadline(standin):
    standin.on["message"] = lambda: setattr(asker._api, "deadline", 0)
    asker = Replies(Study())
    first, second = asker.get(many(2), str)
    assert first == "0 tseuqer" and "deadline_s" in str(second)
    assert standin.count("message") == 1


FAULTS = {"lost": LOST, "cut": CUT, "garbled": GARBLED, "page": PAGE, "no content": sent("x", content=None)}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_reply_lost_on_the_way_is_not_paid_again_and_booked_as_dear_as_it_may_be(standin, fault):
    standin.queued["message"] = [fault]
    asker = Replies(Study())
    first, second = asker.get(many(2), str)
    assert isinstance(first, Unusable) and second == "1 tseuqer"
    assert len(standin.accepted) == 2
    assert asker.spent_usd == pytest.approx(
        worst_usd(body("request 0"), batch=False) + cost_usd(HAIKU, 1000, 100, batch=False)
    )


@pytest.mark.parametrize("count", [1, 5])
def test_a_server_that_is_too_slow_is_not_asked_twice(standin, monkeypatch, count):
    monkeypatch.setattr(claude_api, "TIMEOUT_S", 0.5)
    asker = Replies(Study())
    standin.on["message"] = standin.on["create"] = lambda: time.sleep(1)
    found = asker.get(many(count), str)
    assert found == turned(many(5)) if count == 5 else isinstance(found[0], Unusable)
    assert standin.accepted == many(count)


def test_a_connection_that_breaks_before_the_work_is_done_is_a_failure_too(standin):
    standin.queued["message"] = [DROPPED]
    assert isinstance(get(many(1))[0], Unusable)
    assert standin.accepted == []


def test_a_refused_request_costs_nothing(standin):
    standin.queued["message"] = [error(400, "invalid_request_error")]
    asker = Replies(Study())
    [reply] = asker.get(many(1), str)
    assert isinstance(reply, Unusable) and asker.spent_usd == 0
    assert KEY not in str(reply)


# By batch


def test_a_batch_gives_every_request_its_own_reply_at_half_the_price(standin):
    asker = Replies(Study())
    bodies = many(20)
    assert asker.get(bodies, str) == turned(bodies)
    assert (standin.count("create"), standin.count("message")) == (1, 0)
    assert asker.spent_usd == pytest.approx(20 * (1000 * 0.10 + 100 * 0.50) / 1e6 / 2)


def test_equal_requests_are_sent_once(standin):
    bodies = many(4)
    assert get([*bodies, *bodies[::-1]]) == turned([*bodies, *bodies[::-1]])
    assert standin.accepted == bodies


def test_a_finished_study_replays_without_a_server_for_nothing(standin):
    first = get(many(5))
    standin.close()
    asker = Replies(Study())
    assert asker.get(many(5), str) == first
    assert asker.spent_usd == 0


def test_only_what_is_new_is_sent(standin):
    get(many(4))
    get(many(8))
    assert standin.accepted == many(8)


@pytest.mark.parametrize("kind", ["expired", "canceled"])
def test_what_expired_is_sent_again_and_no_more_than_that(standin, kind):
    odd = {f"request {n}" for n in range(1, 10, 2)}
    standin.outcome = lambda one, times: (
        {"type": kind} if one["messages"][0]["content"] in odd and times == 1 else api.graded(one)
    )
    assert get(many(10)) == turned(many(10))
    assert len(standin.accepted) == 15


def test_a_few_leftovers_are_sent_one_by_one(standin):
    standin.outcome = lambda one, times: {"type": "expired"} if one == body("request 3") else api.graded(one)
    assert get(many(6)) == turned(many(6))
    assert (standin.count("create"), standin.count("message")) == (1, 1)


def test_what_goes_on_failing_is_given_up_with_the_reason(standin):
    standin.outcome = lambda one, times: {"type": "expired"}
    asker = Replies(Study())
    assert reasons(asker.get(many(4), str)) == ["the request is expired"] * 4
    assert (standin.count("create"), asker.spent_usd) == (claude_replies.ROUNDS, 0)


def errored(kind):
    return {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": "because"}}}


@pytest.mark.parametrize(("kind", "rounds"), [("api_error", claude_replies.ROUNDS), ("invalid_request_error", 1)])
def test_an_error_within_a_batch_is_asked_again_unless_it_would_be_refused_again(standin, kind, rounds):
    standin.outcome = lambda one, times: errored(kind)
    assert reasons(get(many(3))) == [f"the request failed: {kind}: because"] * 3
    assert standin.count("create") == rounds


@pytest.mark.parametrize(
    "result",
    [
        message("cut sho", stop_reason="max_tokens"),
        message("", stop_reason="refusal", stop_details={"type": "refusal", "category": "frontier_llm"}),
        message("  "),
        message("x", content=None),
        {"type": "succeeded", "message": None},
        {"type": "succeeded", "message": {"id": None}},
    ],
)
def test_an_unusable_reply_spoils_no_other_is_paid_once_and_not_cached(standin, result):
    standin.outcome = lambda one, times: result if one == body("request 1") else api.graded(one)
    found = get(many(4))
    assert [reply for place, reply in enumerate(found) if place != 1] == ["0 tseuqer", "2 tseuqer", "3 tseuqer"]
    assert isinstance(found[1], Unusable) and str(found[1])
    assert len(standin.accepted) == 4
    standin.outcome = lambda one, times: api.graded(one)
    assert get(many(4)) == turned(many(4))  # another run asks again
    assert len(standin.accepted) == 5


@pytest.mark.parametrize("operation", ["list", "poll", "results", "model"])
@pytest.mark.parametrize("fault", [busy(500), busy(529), LOST], ids=["500", "529", "lost"])
def test_a_fault_while_looking_is_looked_at_again(standin, operation, fault):
    standin.queued[operation] = [fault]
    assert get(many(5)) == turned(many(5))
    assert len(standin.accepted) == 5


@pytest.mark.parametrize("operation", ["poll", "results"])
@pytest.mark.parametrize("fault", [CUT, GARBLED, PAGE], ids=["cut", "garbled", "page"])
def test_half_a_reply_is_not_taken_for_a_whole(standin, operation, fault):
    standin.queued[operation] = [fault, fault]
    assert get(many(5)) == turned(many(5))
    assert len(standin.accepted) == 5


def test_results_that_stop_at_the_end_of_a_line_are_read_again(standin):
    def first_line():
        whole = standin.results(None, "msgbatch_0")
        standin.queued["results"] = (
            [Reply(200, whole.splitlines(keepends=True)[0])] if standin.count("results") == 0 else []
        )

    standin.on["poll"] = first_line
    assert get(many(5)) == turned(many(5))
    assert standin.count("results") == 2 and len(standin.accepted) == 5


@pytest.mark.parametrize("fault", [LOST, CUT, GARBLED, PAGE, Reply(500, "{}", accepts=True)], ids=repr)
def test_a_batch_whose_id_was_lost_is_found_and_not_sent_twice(standin, fault):
    get([body("of an earlier batch"), *many(4)])
    standin.queued["create"] = [fault]
    bodies = [body(f"new {place}") for place in range(5)]
    assert get(bodies) == turned(bodies)
    assert len(standin.accepted) == 10


@pytest.mark.parametrize("fault", [DROPPED, busy(429), busy(500), busy(529)], ids=repr)
def test_a_batch_that_was_not_taken_is_sent_again(standin, fault):
    standin.queued["create"] = [fault]
    assert get(many(5)) == turned(many(5))
    assert standin.accepted == many(5)


def test_a_batch_that_is_never_taken_is_a_stop_and_the_next_run_starts_over(standin):
    standin.queued["create"] = [busy()] * claude_replies.TRIES
    with pytest.raises(RuntimeError, match="took no batch.*run again"):
        get(many(5))
    assert get(many(5)) == turned(many(5))
    assert standin.accepted == many(5)


def test_a_refused_batch_is_a_stop_at_once(standin):
    standin.queued["create"] = [error(413, "request_too_large")]
    with pytest.raises(RuntimeError, match="request_too_large"):
        get(many(5))
    assert standin.count("create") == 1


def test_the_batch_of_another_user_is_waited_for_and_not_taken_for_ours(standin):
    class Stranger:
        def done(self):
            standin.on.pop("create")
            standin.create({"requests": [{"custom_id": str(n), "params": body(f"theirs {n}")} for n in range(5)]}, None)

    standin.queued["create"] = [LOST]
    standin.on["create"] = Stranger().done
    assert get(many(5)) == turned(many(5))


def leave_unfinished(standin, bodies):
    """Send a batch whose deadline passes while it is looked at."""
    asker = Replies(Study())
    standin.on["poll"] = lambda: setattr(asker._api, "deadline", 0)
    with pytest.raises(RuntimeError, match="msgbatch_0 did not end within claude.deadline_s, 20 s.*run again"):
        asker.get(bodies, str)
    del standin.on["poll"]


def test_a_batch_that_does_not_end_is_a_stop_and_the_next_run_collects_it(standin):
    leave_unfinished(standin, many(5))
    assert get(many(5)) == turned(many(5))
    assert standin.accepted == many(5)


def test_results_that_cannot_be_read_are_a_stop_and_the_next_run_reads_them(standin):
    standin.queued["results"] = [GARBLED] * claude_replies.TRIES
    with pytest.raises(RuntimeError, match="results of batch msgbatch_0.*run again"):
        get(many(5))
    assert get(many(5)) == turned(many(5))
    assert standin.accepted == many(5)


def test_a_batch_that_the_api_has_forgotten_is_sent_again(standin):
    leave_unfinished(standin, many(5))
    standin.queued["poll"] = [error(404, "not_found_error")]
    assert get(many(5)) == turned(many(5))


def test_the_leftover_batch_of_other_requests_is_collected_before_new_ones_are_sent(standin):
    leave_unfinished(standin, many(5))
    others = [body(f"other {place}") for place in range(4)]
    assert get(others) == turned(others)
    assert get(many(5)) == turned(many(5))
    assert len(standin.accepted) == 9


def test_a_large_number_goes_as_several_batches(standin, monkeypatch):
    monkeypatch.setattr(claude_replies, "BATCH_SIZE", 4)
    assert get(many(10)) == turned(many(10))
    assert [len(batch["results"]) for batch in standin.batches.values()] == [4, 4, 2]


# Money, models, keys


def test_prices_by_hand():
    assert cost_usd(HAIKU, 2e6, 1e6, batch=False) == pytest.approx(0.7)
    assert cost_usd("claude-opus-5-5", 1e6, 1e6, batch=True) == pytest.approx(12.0)
    long = body("x" * 300)
    assert worst_usd(long, batch=False) == pytest.approx((estimated_tokens(long) * 0.10 + 100 * 0.50) / 1e6)
    assert estimated_tokens(long) > 100


@pytest.mark.parametrize("count", [1, 5])
def test_what_could_cost_too_much_is_not_sent(standin, count):
    limit = sum(worst_usd(one, batch=count > 1) for one in many(count))
    with pytest.raises(RuntimeError, match="raise claude.max_usd in the study file"):
        get(many(count), max_usd=limit * 0.99)
    assert standin.accepted == []
    get(many(count), max_usd=limit * 1.01)
    assert len(standin.accepted) == count


def test_spending_stops_between_requests_and_counts_over_runs(standin):
    standin.queued["message"] = [sent("dear", tokens=(1_000_000, 200_000))]
    with pytest.raises(RuntimeError, match=r"\$0.2000 spent on Claude by study tiny"):
        get(many(2), max_usd=0.2)
    with pytest.raises(RuntimeError, match="spent"):
        get(many(2), max_usd=0.2)
    assert len(standin.accepted) == 1
    assert get(many(2), name="another", max_usd=0.2) == ["dear", "1 tseuqer"]


def test_a_reply_that_is_read_twice_is_booked_once(standin, monkeypatch):
    write = runs.write_json

    def dies(path, value):
        if "text" in value and standin.count("results") == 1 and path.parent.name == last:
            raise KeyboardInterrupt
        write(path, value)

    last = runs.content_hash(many(5)[-1])
    monkeypatch.setattr(runs, "write_json", dies)
    with pytest.raises(KeyboardInterrupt):
        get(many(5))
    monkeypatch.setattr(runs, "write_json", write)
    asker = Replies(Study())
    assert asker.get(many(5), str) == turned(many(5))
    assert asker.spent_usd == pytest.approx(5 * cost_usd(HAIKU, 1000, 100, batch=True))


def test_the_ledger_says_what_was_paid_for_requests_whoever_asked_first(standin):
    get(many(5))
    line = claude_replies.paid("tiny", "judging", [*many(4), body("never asked"), *many(2)])
    assert line.pop("usd") == pytest.approx(4 * cost_usd(HAIKU, 1000, 100, batch=True))
    tokens = {"prompt_tokens": 4000, "answer_tokens": 400}
    assert line == {"condition": "claude", "seed": 0, "probe": "judging", "requests": 5, **tokens, "seconds": 0.0}
    assert get(many(5), name="another") == turned(many(5))
    assert claude_replies.paid("another", "judging", many(5))["usd"] == 0


def test_the_ledger_counts_what_was_paid_in_vain_and_every_try(standin):
    standin.queued["message"] = [sent("", stop_reason="refusal", tokens=(50, 5)), sent("whole", tokens=(70, 7)), LOST]
    get(many(1))
    get(many(1))
    get([body("lost")])
    twice = claude_replies.paid("tiny", "answering", many(1))
    assert (twice["requests"], twice["prompt_tokens"], twice["answer_tokens"]) == (1, 120, 12)
    assert twice["usd"] == pytest.approx(cost_usd(HAIKU, 120, 12, batch=False))
    lost = claude_replies.paid("tiny", "answering", [body("lost")])
    assert lost["usd"] == pytest.approx(worst_usd(body("lost"), batch=False)) and lost["prompt_tokens"] == 0


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("lifecycle", ["retired", None])
def test_a_model_that_is_gone_is_a_stop_before_anything_is_paid(standin, count, lifecycle):
    standin.lifecycle = lifecycle
    standin.queued["model"] = [error(404, "not_found_error")] if lifecycle is None else []
    with pytest.raises(RuntimeError, match="no model 'claude-haiku-5-5'.*change the study's section `claude`"):
        get(many(count))
    assert standin.accepted == []


@pytest.mark.parametrize("operation", ["model", "message", "create", "poll", "results"])
@pytest.mark.parametrize(
    "failure", [error(401, "authentication_error"), error(403, "permission_error")], ids=["401", "403"]
)
def test_a_refused_key_is_a_stop(standin, operation, failure):
    standin.queued[operation] = [failure]
    with pytest.raises(RuntimeError, match="refused ANTHROPIC_API_KEY") as stop:
        get(many(1 if operation == "message" else 5))
    assert KEY not in str(stop.value)


def test_no_server_is_a_stop(standin, monkeypatch):
    standin.close()
    asker = Replies(Study())
    monkeypatch.setattr(asker._api._api, "max_retries", 0)
    with pytest.raises(RuntimeError, match="cannot be used now.*run again later"):
        asker.get(many(1), str)


def test_without_a_key_a_price_or_a_section_there_is_nothing_to_ask(standin, monkeypatch):
    study = Study()
    study.claude = Claude(answer_model=HAIKU, judge_model="claude-unknown")
    with pytest.raises(RuntimeError, match="claude-unknown.*PRICES_USD_PER_MTOK"):
        Replies(study)
    monkeypatch.setenv("ANTHROPIC_API_KEY", " ")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another credential")
    with pytest.raises(RuntimeError, match="ANTHROPIC_API_KEY"):
        Replies(Study())
    study.claude = None
    with pytest.raises(RuntimeError, match="study tiny has no section `claude`"):
        Replies(study)


def test_no_key_and_no_header_reaches_the_cache(standin):
    standin.outcome = lambda one, times: errored("api_error") if one == body("request 1") else api.graded(one)
    get(many(5))
    files = [path for path in paths.CACHE.rglob("*") if path.is_file()]
    written = "".join(path.read_text() for path in files)
    assert json.dumps("4 tseuqer") in written
    assert KEY not in written and "authorization" not in written.lower()
