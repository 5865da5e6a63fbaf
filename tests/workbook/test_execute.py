"""What stops a study before anything is computed."""

import pytest

from lib.workbook import execute


def test_a_study_that_claude_is_to_judge_stops_at_once_without_a_key(monkeypatch):
    monkeypatch.setenv("JUDGE", "claude")
    monkeypatch.setattr(execute, "execute", lambda *given: pytest.fail("a notebook was started"))
    with pytest.raises(RuntimeError, match="ANTHROPIC_API_KEY"):
        execute.main("smoke")
