"""What stops a study before anything is computed."""

import subprocess
import sys

import pytest

from lib import paths
from lib.workbook import execute


def test_a_study_that_claude_is_to_judge_stops_at_once_without_a_key(monkeypatch):
    monkeypatch.setenv("JUDGE", "claude")
    monkeypatch.setattr(execute, "execute", lambda *given: pytest.fail("a notebook was started"))
    with pytest.raises(RuntimeError, match="ANTHROPIC_API_KEY"):
        execute.main("smoke")


def test_a_run_with_nothing_to_do_need_not_load_torch_to_find_out():
    probe = "import sys, lib.workbook.execute; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=paths.ROOT).returncode == 0
