# Quarterturn. `make run` and `make test` do all set-up themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS := $(VENV)/.installed-for-tests
MODULES := frontend/node_modules/.installed
PACKAGES := admin api bench cli core model supervisor worker
CODE := $(PACKAGES) tests
PEERS := fastapi uvicorn httptools uvloop python-multipart openslide-python openslide-bin large-image[tiff,openslide] \
	cucim-cu12 tiffslide pyvips-binary pyvips
ROOTS := .
SEED := 1
COUNT := 40
MINUTES := 10
ENGINE := production
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help run dev test check types coverage measure lint faults soak fuzz train evaluate study gpu digits bench bench-quick bench-peers clean

help:  ## show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  settings for make run: DEMO=0 (no demo slide), QUARTERTURN_PORT (8000), QUARTERTURN_DATA (./data),"
	@echo "  QUARTERTURN_ADMIN_KEY (an API key of your own, at least 32 characters)"

run: $(STAMP) $(MODULES)  ## set up, start the service, analyse the demo slide, print the viewer's address
	@$(BIN)/python -m supervisor $(if $(filter 0,$(DEMO)),--no-demo)

dev: $(STAMP) $(MODULES)  ## like run, without the demo; restarts API and worker when their code changes
	@$(BIN)/python -m supervisor --no-demo --reload

check: $(TESTS) $(MODULES)  ## lint, types, import contract and the tests that need no server, in about a minute
	@$(MAKE) --no-print-directory lint
	@OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -q -n 2 --dist loadfile \
		-m "not services and not browser and not slow" $(ARGS)

test: $(TESTS) $(MODULES)  ## set up, start real servers, run every check and test
	@sh tests/servers.sh
	@$(MAKE) --no-print-directory lint
	@OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -q -n 2 --dist loadfile --durations=25 $(ARGS)

lint: $(TESTS) $(MODULES)  ## style, types, import contract
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	cd frontend && npx --no-install tsc -p .

coverage: $(TESTS) $(MODULES)  ## line coverage of the tests that need no server, per package; report in htmlcov/
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not services and not browser" \
		$(foreach package,$(PACKAGES),--cov=$(package)) --cov-report=term:skip-covered --cov-report=html $(ARGS)

measure: $(TESTS)  ## print the figures of the code's structure: make measure ROOTS="../earlier ."
	@$(BIN)/python -m tests.house.measure $(foreach root,$(ROOTS),--root $(root))

faults: $(TESTS)  ## inject every kind of fault into a running service, on both engines: make faults SEED=1 COUNT=40
	@sh tests/servers.sh
	@for engine in embedded production; do PYTHONPATH=.:tests $(BIN)/python -m faults.soak --engine $$engine \
		--seed $(SEED) --faults $(COUNT) --minutes 600 --check each || exit 1; done
	@QUARTERTURN_FAULTS=all QUARTERTURN_MUTANTS=500 $(BIN)/python -m pytest -q -s tests/faults

soak: $(TESTS)  ## inject faults at random for some minutes: make soak MINUTES=10 SEED=1 ENGINE=production
	@sh tests/servers.sh
	@PYTHONPATH=.:tests $(BIN)/python -m faults.soak --engine $(ENGINE) --seed $(SEED) --minutes $(MINUTES)

fuzz: $(TESTS)  ## send valid and invalid values to every call, and check the answers against the OpenAPI document
	@QUARTERTURN_FUZZ_PHASES=examples,coverage,fuzzing,stateful QUARTERTURN_FUZZ_EXAMPLES=100 \
		$(BIN)/python -m pytest -q -s --timeout 3600 tests/api/contract/test_openapi.py

types: $(TESTS) $(MODULES)  ## generate the viewer's types (frontend/static/shared/api.d.ts) from the OpenAPI document
	$(BIN)/python -m api.describe | (cd frontend && node_modules/.bin/openapi-typescript --root-types \
		--root-types-no-schema-prefix) > frontend/static/shared/api.d.ts.new
	mv frontend/static/shared/api.d.ts.new frontend/static/shared/api.d.ts

train: $(STAMP)  ## train on PCam: make train DIR=folder-with-h5-files
	$(BIN)/python -m model.train $(DIR)

bench: $(TESTS)  ## compare every stage with naive implementations and other tools, in minutes; writes docs/benchmarks.md
	$(BIN)/python -m bench

bench-quick: $(TESTS)  ## run a short form of bench in under two minutes; prints which ratios fell, writes nothing
	$(BIN)/python -m bench --quick

bench-peers: $(TESTS)  ## install the tools that bench compares with, where possible (10 GB: some need PyTorch for CUDA)
	$(PYTHON) -m venv .venv-peers
	@for peer in $(PEERS); do .venv-peers/bin/python -m pip install -q --disable-pip-version-check \
		-c constraints.txt "$$peer" || echo "$$peer does not install here"; done
	@$(MAKE) --no-print-directory .venv-peers/escnn WITH="numpy<2 $$(grep ^torch== constraints.txt) escnn"
	@$(MAKE) --no-print-directory .venv-peers/tiatoolbox WITH="tiatoolbox"
	@$(MAKE) --no-print-directory .venv-peers/wsinfer WITH="numpy<2 zarr<3 wsinfer safetensors openslide-python openslide-bin"

.venv-peers/%:  # tools whose dependencies conflict with those of the others
	@$(PYTHON) -m venv $@
	@set -f; $@/bin/python -m pip install -q --disable-pip-version-check $(foreach package,$(WITH),'$(package)') || \
		echo "$(@F) does not install here (escnn needs a Fortran compiler)"

digits: $(TESTS)  ## compare all networks on rotated digits, in minutes
	$(BIN)/python -m model.evidence.digits

evaluate: $(TESTS)  ## measure the shipped weights, write docs/detector.md: make evaluate DIR=official-plan NAMED=named-plan
	$(BIN)/python -m model.evidence.evaluate $(DIR) --split valid
	$(BIN)/python -m model.evidence.evaluate $(DIR) --split test
	$(BIN)/python -m model.evidence.measure $(DIR) $(if $(NAMED),--named $(NAMED)) \
		--other-tissue "$$($(BIN)/python -m cli.demo_slide runs/demo)"
	$(BIN)/python -m model.evidence.slides $(DIR)
	$(BIN)/python -m model.evidence.report $(or $(NAMED),$(DIR)) --official $(DIR)

study: $(TESTS)  ## run the trainings behind docs/detector.md, in hours: make study DIR=plan
	$(BIN)/python -m model.evidence.study $(DIR)

# Without PYTHON the service's own environment; with it, an interpreter that has PyTorch for CUDA, h5py, OpenCV, Pillow,
# safetensors, tqdm, pytest and pytest-timeout, and nothing is installed. So its tests load no fixtures of the service.
GPU_PYTHON := $(if $(filter file,$(origin PYTHON)),$(BIN)/python,$(PYTHON))

gpu: $(if $(filter file,$(origin PYTHON)),$(TESTS))  ## test, measure and train on a GPU: make gpu DIR=official-plan MINUTES=10 PYTHON=python
	@test -n "$(DIR)" || { echo "Name the folder of patches: make gpu DIR=official-plan."; exit 1; }
	@$(GPU_PYTHON) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || \
		{ echo "PyTorch of $(GPU_PYTHON) sees no CUDA device: make gpu needs one."; exit 1; }
	$(GPU_PYTHON) -m pytest -q --noconftest tests/model/inference/test_staging.py tests/model/train/gpu
	$(GPU_PYTHON) -c 'from bench.page.tables import page; from bench.sections.gpu import measure; print(page(measure(quick=True)))'
	$(GPU_PYTHON) -m model.train.gpu $(DIR) --out runs/gpu --minutes $(MINUTES)

clean:  ## remove the installed packages (never the data)
	rm -rf $(VENV) frontend/node_modules

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Quarterturn needs Python 3.11 or newer: for example, set PYTHON=python3.11."; exit 1; }
	@echo "Installing Python packages into $(VENV) (about a minute)…"
	@$(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made: install your system's python3-venv."; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(TESTS): $(STAMP)
	@echo "Installing what the tests need besides (half a minute)…"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

$(MODULES): frontend/package-lock.json
	@command -v npm >/dev/null || { echo "Quarterturn's viewer needs Node.js 20 or newer: install it (nodejs.org), then run make again."; exit 1; }
	@node -e 'process.exit(+(parseInt(process.versions.node) < 20))' || { echo "Quarterturn needs Node.js 20 or newer; this is $$(node --version)."; exit 1; }
	@cd frontend && npm ci --silent --no-audit --no-fund
	@touch $@
