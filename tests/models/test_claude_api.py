"""The bounds around every call; what the calls are for is tested with the replies."""

import json

import pytest

from lib.models.claude_api import Api, Unknown, Unusable, available
from tests.standin import KEY, error

BODY = {"model": "claude-haiku-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "How much?"}]}


def test_only_the_key_of_the_environment_counts(standin, monkeypatch):
    assert available()
    monkeypatch.setenv("ANTHROPIC_API_KEY", " ")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another credential")
    assert not available()
    with pytest.raises(RuntimeError, match="export it in the shell"):
        Api()
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert not available()


def test_the_key_is_a_bearer_token_and_in_no_error(standin):
    standin.queued["message"] = [error(400, "invalid_request_error")]
    with pytest.raises(Unusable) as failure:
        Api().message(BODY)
    [(_, headers, _)] = standin.seen
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(failure.value) and "***" in str(failure.value)


def test_tokens_are_counted_without_paying(standin):
    tokens = Api().count_tokens(BODY)
    [(operation, _, body)] = standin.seen
    assert tokens == len(json.dumps(body)) // 4
    assert operation == "count_tokens" and "max_tokens" not in body
    assert standin.accepted == []


def test_an_unknown_batch_is_told_from_a_failure(standin):
    standin.queued["poll"] = [error(404, "not_found_error"), error(400, "invalid_request_error")]
    api = Api()
    with pytest.raises(Unknown):
        api.batch("msgbatch_x")
    with pytest.raises(Unusable) as failure:
        api.batch("msgbatch_x")
    assert not isinstance(failure.value, Unknown)
