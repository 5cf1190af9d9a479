# make demo         set up .venv and run the digits suite to the end, Table 2 first
# make test         set up .venv and run the tests
# make test-slurm   set up .venv and test the Slurm profile on a real Slurm of one node
# make lint         style of Python, Snakemake and the rules
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-slurm lint lock clean

demo: $(READY)
	$(BIN)/snakemake all --cores $(CORES) --prioritize table2
	@echo
	@echo "Tables:  results/digits/tables/   Figures: results/digits/figures/   MACs: results/macs/paper_models.md"

test: $(READY)
	$(BIN)/python -m pytest -m "not slurm" --numprocesses auto --dist loadfile

test-slurm: $(READY)
	$(BIN)/python -m pytest tests/slurm

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
