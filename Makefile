# The two commands of this project: `make score` runs the mini benchmark, `make test` proves the code.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
RESULTS := results/mini/scores
LOGS ?= results/mini/external
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: score test test-all rehearsal packages lint format docs bench fit clean help

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

score: $(INSTALLED)  ## run the mini benchmark and show its leaderboard
	snakemake --profile profiles/local score
	@cat $(RESULTS)/*/leaderboard.txt
	@ls $(RESULTS)/*/report.html | sed 's/^/report: /'

# Three files at a time on two cores: while the one on a real Slurm, which comes first, waits, the others run.
QUICK := -m 'not nightly and not landing'
test: $(INSTALLED)  ## run the tests that prove most in the least time: about twelve minutes on two cores
	python -m pytest $(QUICK) --durations 20 -n 3 --dist loadfile --no-loadscope-reorder tests/cluster tests

test-all:  ## run every test, the nightly ones, too: full-size models, all pairs, long runs
	$(MAKE) test QUICK=

packages:  ## install the Debian packages of the tests on a real Slurm and in a real browser (as root); else they are skipped
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends slurm-wlm munge slurmdbd mariadb-server \
		chromium chromium-driver

lint: $(INSTALLED)  ## what CI asks of the style
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules

format: $(INSTALLED)  ## bring the code into that style
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

docs: $(INSTALLED)  ## build the site of docs/ in build/docs, without a warning
	sphinx-build -W --keep-going -q -b html docs build/docs
	@echo "documentation: build/docs/index.html"

bench: $(INSTALLED)  ## measure: start-up, overhead of the loop, models, optimizers, data, scoring of LOGS, its page
	snakemake --profile profiles/local data
	python benchmarks/startup.py
	python benchmarks/planning.py
	python benchmarks/status.py
	python benchmarks/overhead.py
	python benchmarks/data_store.py data
	python -m benchmarks.input_pipelines
	python -m benchmarks.preparation
	python benchmarks/score_logs.py $(LOGS)
	python -m benchmarks.page
	python benchmarks/coverage.py --leaderboards 60
	OMP_WAIT_POLICY=PASSIVE python benchmarks/models.py
	OMP_WAIT_POLICY=PASSIVE python benchmarks/optimizers.py

rehearsal: $(INSTALLED)  ## walk through all cells at full scale on this machine, with made-up examples and small batches
	snakemake --profile profiles/local rehearsal --configfile config/rehearsal.yaml
	@ls results/v0.6-a100/rehearsal/rehearsal.html | sed 's/^/page: /'

# XLA's compiler for GPUs is in jax[cuda12], which is too large for everyone's environment.
FIT := build/fit
fit:  ## compile every cell for 8 V100, 4 A100 and 8 H100 without any of them, into docs/fit.md: 6 GB, hours
	$(PYTHON) -m venv $(FIT)
	$(FIT)/bin/pip install --quiet --constraint constraints.txt --constraint profiles/slurm/constraints/v100.txt \
		--editable '.[jax,pytorch,workloads]' 'jax[cuda12]'
	$(FIT)/bin/python -m algoperf.fit nadamw muon shampoo
	$(FIT)/bin/python docs/fit_table.py

clean:  ## remove results, prepared data and the built site, not the environment
	rm -rf results data build .snakemake

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[jax,pytorch,slurm,workloads,dev,docs]'
	touch $@
