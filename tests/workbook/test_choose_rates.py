"""The loss that chooses a rate is that of the value in words that the twin was not trained on, for adapters and full weights."""

import pytest
import torch

from lib.answering.conditions import Bench
from lib.training.sft import load_trained
from lib.training.targets import encode, token_losses, wording_targets
from lib.workbook import choose_rates


@pytest.fixture
def swept(tiny_study):
    twin = tiny_study.recipes["lora"].model_copy(update={"split": "dev", "seeds": (0,)})
    full = twin.model_copy(update={"method": "full", "rank": None, "alpha": None, "learning_rate": 3e-4})
    arm = tiny_study.recipes["lora"].model_copy(update={"learning_rate": 0.001, "seeds": (0,)})
    return tiny_study.model_copy(update={"recipes": {"twin": twin, "full_twin": full, "arm": arm}})


def test_a_twin_is_judged_by_the_value_after_an_unseen_wording_of_the_dev_facts_it_learned(swept, small_corpus, tiny):
    bench = Bench(swept, small_corpus)
    losses = choose_rates.dev_losses(bench)
    unseen = wording_targets(small_corpus, tiny.tokenizer, "uniform", None, "dev")["paraphrase"]
    assert {small_corpus.fact[target.example.fact_id].split for target in unseen} == {"dev"}
    for name in ("twin", "full_twin"):
        model, found = load_trained(swept.models["base"], bench.train(name, 0)), []
        for target in unseen:
            row = encode(tiny.tokenizer, target)
            with torch.inference_mode():
                found.append(token_losses(model, row)[row.is_value].mean().item())
        assert losses[name] == [pytest.approx(sum(found) / len(found), rel=1e-4)]


def test_another_rate_than_dev_chose_stops_with_what_to_write(swept, small_corpus, monkeypatch, capsys):
    monkeypatch.setattr(choose_rates, "load_study", lambda name: swept)
    monkeypatch.setattr(choose_rates, "load_corpus", lambda folder, **limits: small_corpus)
    monkeypatch.setattr(choose_rates, "dev_losses", lambda bench: {"twin": [1.0], "full_twin": [2.0]})
    with pytest.raises(
        ValueError, match="into the study file of tiny:\nrecipes.arm: learning_rate 0.001, dev chose 0.005"
    ):
        choose_rates.main("any")
    assert "full_twin" in capsys.readouterr().out
    agreed = {**swept.recipes, "arm": swept.recipes["arm"].model_copy(update={"learning_rate": 0.005})}
    monkeypatch.setattr(choose_rates, "load_study", lambda name: swept.model_copy(update={"recipes": agreed}))
    choose_rates.main("any")


def test_a_study_without_twins_is_told_so(tiny_study, monkeypatch):
    monkeypatch.setattr(choose_rates, "load_study", lambda name: tiny_study)
    with pytest.raises(ValueError, match="no recipe has split dev"):
        choose_rates.main("any")
