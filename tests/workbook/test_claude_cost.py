"""What Claude would cost is known before it is asked."""

import pytest

from lib import runs
from lib.answering.conditions import Bench
from lib.models.claude import SAMPLE
from lib.models.claude_replies import PRICES_AS_OF, estimated_tokens
from lib.studies import Claude
from lib.workbook import claude_cost
from tests.standin import error


@pytest.fixture
def bench(tiny_study, small_corpus):
    return Bench(tiny_study, small_corpus)


FIRST, FIFTH = "01_baseline_assessment", "05_rag_comparison"
LABELLED = 3 * 2  # two labelled answers are judged, judged again, and turned


def asking_claude(bench, judge="keyfacts", grids=None):
    models = Claude(answer_model="claude-sonnet-5-5", judge_model="claude-haiku-5-5")
    grids = grids or {FIRST: "both", "02_raw_faq_lora": "some", FIFTH: "twice"}
    named = {notebook: bench.study.grids[block] for notebook, block in grids.items()}
    changes = {"claude": models, "judge": judge, "grids": named, "second_judge_answers": 2}
    bench.study = bench.study.model_copy(update=changes)
    return bench


def counts(bench):
    return {part: cost.requests for part, cost in claude_cost.forecast_claude(bench).items()}


def test_claude_answers_every_paraphrase_and_judges_the_base_beside_the_key_facts(bench):
    paraphrases, trained = len(bench.corpus.ask("paraphrase")), len(bench.corpus.ask("trained"))
    dev = len(bench.corpus.ask("paraphrase", "dev"))
    assert counts(asking_claude(bench)) == {
        (FIRST, "answering"): paraphrases,
        (FIRST, "judging"): paraphrases + trained + dev + LABELLED,
    }


def test_tokens_and_prices_are_those_of_the_models_asked_in_batches_where_there_are_enough(bench):
    costs = claude_cost.forecast_claude(asking_claude(bench))
    parts, prices = claude_cost._claude_parts(bench, FIRST), {"answering": (2.0, 10.0), "judging": (0.10, 0.50)}
    assert len(parts["answering"]) < 8 <= len(parts["judging"])
    for part, share in (("answering", 1), ("judging", 0.5)):
        cost, tokens = costs[FIRST, part], sum(map(estimated_tokens, parts[part]))
        price_in, price_out = prices[part]
        by_hand = share * (price_in * tokens + price_out * 200 * len(parts[part])) / 1e6
        assert cost.usd == pytest.approx(by_hand) and cost.worst_usd > cost.usd
        assert cost.tokens_in == round(tokens) and not cost.counted


def test_a_study_judged_by_claude_pays_once_for_every_answer_that_has_a_reference(bench):
    corpus = bench.corpus
    answers, screened = len(corpus.ask("paraphrase")), 2 * len(corpus.screen("paraphrase"))
    asked = len(corpus.ask("trained")) + answers
    grid = (1 + 1 + 2) * asked + 2 * len(corpus.ask("paraphrase", "dev"))
    few = len(corpus.ask("trained", "test", 2)) + len(corpus.ask("paraphrase", "test", 2))
    assert answers and screened and len(corpus.screen("general"))
    assert counts(asking_claude(bench, "claude")) == {
        (FIRST, "answering"): answers,
        (FIRST, "judging"): answers + screened + grid + LABELLED,
        ("02_raw_faq_lora", "judging"): few + len(corpus.screen("general")) + len(corpus.screen("easy")),
    }


def test_claude_answers_from_passages_what_rag_is_asked(bench):
    asked = bench.corpus.ask("paraphrase")
    assert counts(asking_claude(bench, grids={"02_raw_faq_lora": "some", FIFTH: "both"})) == {
        (FIFTH, "answering"): len(asked)
    }
    [*documents, question] = claude_cost._claude_parts(bench, FIFTH)["answering"][0]["messages"][0]["content"]
    shown = bench.shelf.passages(asked[:1], "retrieved")[0]
    assert [document["source"]["data"] for document in documents] == [passage.titled for passage in shown]
    assert question["text"].endswith(asked[0].text)


def test_rewritings_and_comparisons_are_paid_by_the_notebooks_that_ask_for_them(bench):
    asking_claude(bench, grids={"03_claude_reformatting": "some", "06_hybrid": "some"})
    items, asked = len(bench.corpus.items("test")), len(bench.corpus.ask("paraphrase"))
    assert max(items, asked) <= SAMPLE
    # two pairs of arms, each in both orders
    assert counts(bench) == {("03_claude_reformatting", "rewriting"): items, ("06_hybrid", "comparing"): 4 * asked}


def test_with_a_key_the_api_counts_some_requests_and_answers_none(bench, standin):
    guess = claude_cost.forecast_claude(asking_claude(bench))
    assert all(cost.counted for cost in guess.values()) and 0 < standin.count("count_tokens") <= 2 * claude_cost.COUNTED
    assert {operation for operation, _, _ in standin.seen} == {"count_tokens"}
    # the stand-in counts four bytes a token, the estimate three
    for part, bodies in claude_cost._claude_parts(bench, FIRST).items():
        assert guess[FIRST, part].tokens_in == pytest.approx(0.75 * sum(map(estimated_tokens, bodies)), rel=0.05)
    standin.queued["count_tokens"] = [error(400, "invalid_request_error")]
    assert not any(cost.counted for cost in claude_cost.forecast_claude(bench).values())


def test_a_plan_says_who_asks_what_whether_tokens_were_counted_and_what_was_spent(bench, empty_store, capsys):
    claude_cost.print_claude(bench)
    assert "not asked" in capsys.readouterr().out
    bench.study = bench.study.model_copy(update={"name": "planned"})
    runs.Journal("claude", "spent-planned").append({"reply": "r", "usd": 0.0625})
    costs = claude_cost.forecast_claude(asking_claude(bench))
    claude_cost.print_claude(bench)
    head, _, *lines, limit = capsys.readouterr().out.splitlines()
    assert "estimated from length" in head and PRICES_AS_OF in head
    assert "limit is USD 1" in limit and "0.0625 spent so far" in limit
    shown = [line.replace(",", "").split() for line in lines]
    assert [(line[0], line[1], int(line[2])) for line in shown[:-1]] == [
        (*part, c.requests) for part, c in costs.items()
    ]
    total = sum(cost.requests for cost in costs.values()), sum(cost.tokens_in for cost in costs.values())
    assert shown[-1][0] == "together" and (int(shown[-1][1]), int(shown[-1][2])) == total
