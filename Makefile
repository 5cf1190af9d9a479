# make demo         set up .venv and run the digits suite to the end, Table 2 first
# make test         set up .venv and run the tests that every change must pass
# make quick        every program, table and figure on a tenth of the demo's images, in a few minutes
# make nightly      all else that is tested: the whole demo, paper's and modern suite with random weights, kills, Slurm, slow tests;
#                   the lowest versions, the other Python; Chromium, if it is there, looks at the report
# make test-lowest  the tests with the lowest versions that pyproject.toml promises, in .venv-lowest
# make test-other   the tests with the locked versions in another Python, OTHER_PYTHON=python3.12, in .venv-other
# make test-slurm   the Slurm profile on a real Slurm of two nodes (Debian: slurmctld slurmd slurm-client munge)
# make gpu          on a machine with a GPU, in six minutes: tests, speed, two tables, emoji, into results/gpu; DRY=--dry:
#                   on a CPU, in one. Where PYTHON has all that is needed (e.g. in a container), no .venv is set up
# make lint         style of Python, Snakemake and the rules
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
READY := .venv/.ready
TESTS := -m pytest -m "not slow and not slurm" --numprocesses auto --dist loadfile
INSTALL := install --quiet --disable-pip-version-check
UV := 0.13.9
OTHER_PYTHON ?= python3.12

.PHONY: demo test quick complete gpu nightly smoke test-slow test-lowest test-other test-slurm lint lock clean

demo: $(READY)
	$(BIN)/snakemake all --cores $(CORES) --prioritize table2
	@echo
	@echo "Tables:  results/digits/tables/   Figures: results/digits/figures/   MACs: results/macs/paper_models.md"

test: $(READY)
	$(BIN)/python $(TESTS)

quick: $(READY)
	$(MAKE) complete SUITE=quick

# Some of what is needed, to be found and not imported, which would take seconds.
NEEDED := torch diffusers fvcore open_clip torch_fidelity snakemake pytest DeepCache
HAS_ALL := from importlib.util import find_spec; import sys; sys.exit(not all(map(find_spec, sys.argv[1:])))
GPU_PYTHON := $(if $(filter gpu,$(MAKECMDGOALS)),$(if $(wildcard $(READY)),,\
  $(shell $(PYTHON) -c '$(HAS_ALL)' $(NEEDED) && echo $(PYTHON))))
DRY ?=
gpu: $(if $(GPU_PYTHON),,$(READY))
	PYTHONPATH="$(CURDIR):$$PYTHONPATH" $(or $(strip $(GPU_PYTHON)),$(BIN)/python) workflow/scripts/gpu.py $(DRY)

nightly: $(READY)
	$(MAKE) demo
	$(MAKE) complete SUITE=config NAME=digits
	$(MAKE) smoke
	$(BIN)/python tests/workflow/kills.py
	$(MAKE) test-slow
	$(MAKE) test-lowest
	$(MAKE) test-other
	$(MAKE) test-slurm

smoke: $(READY)
	$(BIN)/snakemake all --cores $(CORES) --configfile config/smoke.yaml
	! grep -L "The weights are random" results/smoke/tables/table*.md results/smoke/tables/ablation_*.md | grep .
	$(BIN)/snakemake all --cores $(CORES) --configfile config/modern-smoke.yaml
	! grep -L "The weights are random" results/modern-smoke/tables/sdxl.md results/modern-smoke/tables/svd.md | grep .
	$(BIN)/snakemake $(addprefix results/smoke/latency/,ddpm-cifar10/speed.csv ldm4g-imagenet/speed.csv) \
	  --cores $(CORES) --configfile config/smoke.yaml

test-slow: $(READY)
	$(BIN)/python -m pytest -m "slow and not slurm" --numprocesses auto --dist loadfile

# They are resolved anew when pyproject.toml changes, not locked: a second lock would tell only what its day's index had.
test-lowest: .venv-lowest/.ready
	.venv-lowest/bin/python $(TESTS)

test-other: .venv-other/.ready
	.venv-other/bin/python $(TESTS)

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
	$(SNAKEMAKE) audit
	$(BIN)/python tests/complete.py results/$(NAME)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

# The environment is made anew only when what it consists of has changed.
$(READY): requirements.lock pyproject.toml
	$(call check,$(PYTHON),PYTHON)
	$(PYTHON) -m venv .venv
	$(BIN)/pip $(INSTALL) --require-hashes -r requirements.lock
	$(BIN)/pip $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-other/.ready: requirements.lock pyproject.toml
	$(call check,$(OTHER_PYTHON),OTHER_PYTHON)
	$(OTHER_PYTHON) -m venv --clear .venv-other
	.venv-other/bin/pip $(INSTALL) --require-hashes -r requirements.lock
	.venv-other/bin/pip $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-lowest/.ready: pyproject.toml
	$(call check,$(PYTHON),PYTHON)
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/pip $(INSTALL) uv==$(UV)
	.venv-lowest/bin/uv pip compile --quiet --resolution lowest-direct --extra test --no-header \
	  --python .venv-lowest/bin/python pyproject.toml --output-file .venv-lowest/requirements.txt
	.venv-lowest/bin/pip $(INSTALL) -r .venv-lowest/requirements.txt
	.venv-lowest/bin/pip $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# A Python that is missing, or of a version that is not promised, is an error and not a test left out.
check = @$(1) -c 'import sys; sys.exit(not (3, 11, 4) <= sys.version_info < (3, 13))' \
	  || { echo "error: Python 3.11.4 or newer, or 3.12, is needed: make $(2)=/path/to/python3.11 ..." >&2; exit 1; }

# Resolve the dependencies of pyproject.toml anew (needs uv).
lock:
	uv pip compile --quiet --universal --python-version 3.11.4 --extra test --generate-hashes --no-header \
	  pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv .venv-lowest .venv-other results .snakemake *.egg-info .hypothesis .pytest_cache .ruff_cache
