# make demo         set up .venv and run the digits suite to the end, Table 2 first
# make test         set up .venv and run the tests that every change must pass
# make quick        every program, table and figure on a tenth of the demo's images, in a few minutes
# make nightly      all else that is tested: the whole demo, the paper's suite with random weights, Slurm, slow tests;
#                   Chromium, if it is there, looks at the report
# make test-slurm   the Slurm profile on a real Slurm of one node (Debian: slurmctld slurmd slurm-client munge)
# make lint         style of Python, Snakemake and the rules
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test quick complete nightly smoke test-slow test-slurm lint lock clean

demo: $(READY)
	$(BIN)/snakemake all --cores $(CORES) --prioritize table2
	@echo
	@echo "Tables:  results/digits/tables/   Figures: results/digits/figures/   MACs: results/macs/paper_models.md"

test: $(READY)
	$(BIN)/python -m pytest -m "not slow and not slurm" --numprocesses auto --dist loadfile

quick: $(READY)
	$(MAKE) complete SUITE=quick

nightly: $(READY)
	$(MAKE) demo
	$(MAKE) complete SUITE=config NAME=digits
	$(MAKE) smoke
	$(MAKE) test-slow
	$(MAKE) test-slurm

smoke: $(READY)
	$(BIN)/snakemake all --cores $(CORES) --configfile config/smoke.yaml
	! grep -L "The weights are random" results/smoke/tables/table*.md results/smoke/tables/ablation_*.md | grep .
	$(BIN)/snakemake $(addprefix results/smoke/latency/,ddpm-cifar10/speed.csv ldm4g-imagenet/speed.csv) \
	  --cores $(CORES) --configfile config/smoke.yaml

test-slow: $(READY)
	$(BIN)/python -m pytest -m "slow and not slurm" --numprocesses auto --dist loadfile

test-slurm: $(READY)
	$(BIN)/python -m pytest tests/slurm

# A suite with all that belongs to it, a second run that does nothing, and the report.
SUITE := quick
NAME := $(SUITE)
SNAKEMAKE = $(BIN)/snakemake --configfile config/$(SUITE).yaml --cores $(CORES)
complete: $(READY)
	$(SNAKEMAKE) all --prioritize table2
	$(SNAKEMAKE) all 2>&1 | grep "Nothing to be done"
	$(SNAKEMAKE) report
	$(BIN)/python tests/complete.py results/$(NAME)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

# The environment is made anew only when what it consists of has changed.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	  || { echo "error: Python 3.11 or 3.12 is needed: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Resolve the dependencies of pyproject.toml anew (needs uv).
lock:
	uv pip compile --quiet --universal --python-version 3.11 --extra test --generate-hashes --no-header \
	  pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv results .snakemake *.egg-info .pytest_cache .ruff_cache
