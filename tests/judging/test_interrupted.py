"""A judging run that is killed again and again: nothing is paid twice, and the rows are those of a run that was not."""

import json
import os
import subprocess
import sys

from lib import paths
from lib.corpus.load import load_corpus
from lib.corpus.records import Answer
from lib.judging.judges import judge_answers
from lib.study_file import load_study

# Judges the answers of a file. With a number besides, the process kills itself when that many replies were stored.
RUN = """
import json, os, signal, sys
from lib import runs
from lib.corpus.load import load_corpus
from lib.corpus.records import Answer
from lib.judging.judges import judge_answers
from lib.study_file import load_study

def write_or_die(path, value, write=runs.write_json, left=[int(sys.argv[3])]):
    left[0] -= path.name == "reply.json"
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, value)

runs.write_json = write_or_die
answers = [Answer(**fields) for fields in json.load(open(sys.argv[2]))]
rows = judge_answers(load_corpus("data/itr", test=60, wordings=1), load_study(sys.argv[1]), answers)
print(json.dumps(rows))
"""
STUDY = """
extends: smoke
name: judged
claude: {batch_from: 8, poll_s: 0.01, deadline_s: 60}
"""


class Runner:
    """Starts the run above, again and again, on one cache."""

    def __init__(self, folder, answers, url):
        self.study, self.answers = folder / "judged.yaml", folder / "answers.json"
        self.study.write_text(STUDY)
        self.answers.write_text(json.dumps(answers))
        self.environment = {**os.environ, "JUDGE": "claude", "WORKBOOK_CACHE": str(folder), "ANTHROPIC_BASE_URL": url}

    def start(self, replies=10**6):
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, self.study, self.answers, str(replies)],
            env=self.environment,
            cwd=paths.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, errors = self.process.communicate(timeout=120)
        return self.process.returncode, out, errors.decode()

    def kill(self):
        self.process.kill()
        self.process.wait()


def test_a_run_killed_at_every_step_pays_once_and_ends_as_if_it_had_not_been(standin, tmp_path):
    corpus = load_corpus("data/itr", test=60, wordings=1)
    questions = [question for question in corpus.ask("paraphrase") if question.expected][:60]
    texts = [f"It is {q.expected}." if place % 2 else "???" for place, q in enumerate(questions)]
    fields = {"condition": "base", "seed": 0, "passages": (), "prompt_tokens": 1, "answer_tokens": 1}
    answers = [
        {**fields, "question_id": q.id, "text": text, "latency_ms": None, "run": "r"}
        for q, text in zip(questions, texts, strict=True)
    ]
    assert len({q.id for q in questions}) == 60
    # Another condition gives every second of these answers word for word, which is one request and two rows.
    answers += [
        {**one, "condition": "rag", "text": one["text"] if place % 2 else "!!!"} for place, one in enumerate(answers)
    ]
    runner = Runner(tmp_path, answers, standin.url)

    for step in ("create", "poll", "results"):  # done by the server, which then kills before it replies
        standin.on = {step: runner.kill}
        assert runner.start()[0] == -9, step
    standin.on = {}
    assert runner.start(replies=25)[0] == -9
    stored = len(list(tmp_path.glob("claude/*/reply.json")))
    code, out, errors = runner.start()

    assert code == 0, errors
    assert stored == 25
    assert len(standin.accepted) == 60 + 30 and standin.count("create") == 1 and standin.count("message") == 0
    assert all(standin.accepted.count(body) == 1 for body in standin.accepted)
    uninterrupted = load_study(str(runner.study)).model_copy(update={"judge": "claude"})
    whole = judge_answers(corpus, uninterrupted, [Answer(**one) for one in answers])
    assert json.loads(out) == whole
    assert [row["verdict"] for row in whole] == ["INCORRECT", "CORRECT"] * 60
    assert {row["judge"] for row in whole} == {"claude"}
    booked = [json.loads(line) for line in (tmp_path / "claude/spent-judged/journal.jsonl").read_text().splitlines()]
    assert len(booked) == len({line["reply"] for line in booked}) == 90
