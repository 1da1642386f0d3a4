# The two commands of this project: `make score` runs the mini benchmark, `make test` proves the code.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
RESULTS := results/mini/scores
LOGS ?= results/mini/external
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: score test packages lint format bench clean help

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

score: $(INSTALLED)  ## run the mini benchmark and show its leaderboard
	snakemake --profile profiles/local score
	@cat $(RESULTS)/*/leaderboard.txt
	@ls $(RESULTS)/*/report.html | sed 's/^/report: /'

test: $(INSTALLED)  ## run all tests
	python -m pytest

packages:  ## install the Debian packages of the tests on a real Slurm (as root); without them these tests are skipped
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends slurm-wlm munge slurmdbd mariadb-server

lint: $(INSTALLED)  ## what CI asks of the style
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules

format: $(INSTALLED)  ## bring the code into that style
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

bench: $(INSTALLED)  ## measure: start-up, overhead of the loop, models, data, scoring of LOGS
	snakemake --profile profiles/local data
	python benchmarks/startup.py
	python benchmarks/planning.py
	python benchmarks/status.py
	python benchmarks/overhead.py
	python benchmarks/data_store.py data
	python benchmarks/input_pipelines.py
	python benchmarks/score_logs.py $(LOGS)
	OMP_WAIT_POLICY=PASSIVE python benchmarks/models.py

clean:  ## remove results and prepared data, not the environment
	rm -rf results data .snakemake

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[jax,pytorch,slurm,dev]'
	touch $@
