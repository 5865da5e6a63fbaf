"""Documents say what the files say."""

import re

from lib import paths

README = (paths.ROOT / "README.md").read_text()
MAKEFILE = (paths.ROOT / "Makefile").read_text()


def test_every_make_target_has_a_line_of_help():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    helped = set(re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.MULTILINE))
    assert targets == helped


def test_the_readme_names_only_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", README)) <= targets


def test_links_between_documents_resolve():
    for document in ("README.md", "data/README.md"):
        folder = (paths.ROOT / document).parent
        for target in re.findall(r"\]\((?!http)([^)#]+)", (paths.ROOT / document).read_text()):
            assert (folder / target).exists(), f"{document} links to {target}"


def test_the_datasheet_counts_what_is_there():
    sheet = (paths.ROOT / "data/README.md").read_text()
    for name in ("facts", "faq", "questions", "evidence", "paraphrases", "replacements"):
        rows = [len((paths.DATA / folder / f"{name}.jsonl").read_text().splitlines()) for folder in ("itr", "control")]
        counts = " | ".join(f"{count:,}" for count in rows)
        assert re.search(rf"`{name}\.jsonl` \|.*\| {counts} \|", sheet), f"{name}.jsonl has {counts} rows"


def test_the_log_puts_a_verdict_into_every_heading_newest_first():
    headings = re.findall(r"^## (\d{4}-\d\d-\d\d) .+ \[(.+)\]$", (paths.ROOT / "LOG.md").read_text(), re.MULTILINE)
    assert len(headings) == (paths.ROOT / "LOG.md").read_text().count("\n## ") and headings
    assert [date for date, _ in headings] == sorted((date for date, _ in headings), reverse=True)


def test_every_requirement_is_pinned_exactly():
    for name in ("requirements.txt", "requirements-weights.txt"):
        lines = (paths.ROOT / name).read_text().splitlines()
        assert all(
            re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line) for line in lines if line and line[0] != "#"
        )
