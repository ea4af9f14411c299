# `make help` lists the targets. Everything a target needs, it installs: uv, a virtual environment, and for the
# cluster a real Kubernetes in ~/.cache/modelmend (or `kind`, where a Docker engine answers).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup lock format check generate test test-foreign demo simulate bench bench-evidence bench-cluster images cluster-up cluster-down clean

PYTHON := .venv/bin/python
CLUSTER := PYTHONPATH=hack python3 -m localcluster
PURE := tests/evidence tests/decide tests/properties tests/render tests/architecture

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|'

setup: ## Virtual environment with the locked dependencies
	@hack/setup.sh

lock: ## Resolve pyproject.toml into locks/ anew
	@hack/lock.sh

format: setup ## Format and fix what can be fixed
	@$(PYTHON) -m ruff format --quiet . && $(PYTHON) -m ruff check --fix --quiet .

check: setup ## Lint, types, room contracts, and the pure tests
	@$(PYTHON) -m ruff format --check --quiet .
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports --no-logo
	@$(PYTHON) -m pytest -q $(PURE) --cov=modelmend.evidence --cov=modelmend.decide --cov-branch --cov-fail-under=100 --cov-report=term-missing:skip-covered

generate: setup ## CRDs, the chart's copy, manifests, API reference, stage tables
	@PYTHONPATH=operator $(PYTHON) -m modelmend.api.crd
	@PYTHONPATH=operator $(PYTHON) -m modelmend.api.reference
	@PYTHONPATH=operator $(PYTHON) hack/stages.py --write
	@PYTHONPATH=operator $(PYTHON) hack/chart.py --write

test: check ## Everything: pure, real API server, real node with our images
	@$(CLUSTER) binaries
	@# Most of these wait for programs that they start. One file goes to one worker, so each has a control plane of its own.
	@$(PYTHON) -m pytest -m "not cluster and not foreign" -n 3 --dist loadfile --ignore=tests/evidence --ignore=tests/decide --ignore=tests/properties --ignore=tests/render --ignore=tests/architecture
	@$(CLUSTER) up
	@$(CLUSTER) images operator runtime plain
	@# Mostly they wait for evidence to come in, so two at once; then those that would disturb others.
	@$(PYTHON) -m pytest -m "cluster and not alone" -n 2
	@$(PYTHON) -m pytest -m "cluster and alone"

test-foreign: setup ## A real MLServer in place of our server, from breach to rollback (not part of `make test`)
	@$(CLUSTER) up
	@$(CLUSTER) images operator runtime mlserver
	@$(PYTHON) -m pytest -m foreign

demo: setup ## The loop on a real cluster with real flights, in 10 minutes (DEMO=--keep leaves the cluster up)
	@# One thread: scikit-learn's threads and the cluster's programs would wait for each other on a small machine.
	@OMP_NUM_THREADS=1 PYTHONPATH=operator:hack:. $(PYTHON) -m demo $(DEMO)

simulate: setup ## The same on a year of flights in simulated time, in a minute or two: no cluster, no root
	@PYTHONPATH=operator:. $(PYTHON) -m demo.dataset out/flights.parquet
	@.venv/bin/modelmend simulate -f demo/simulation.yaml --data out/flights.parquet --label fast --time time --train-until 2013-02-15 --out out/simulation

bench: setup ## Figures that need no cluster: the server's
	@PYTHONPATH=operator:hack:. $(PYTHON) -m bench

bench-cluster: setup ## Figures of the operator on a real cluster: its reactions, then ten idle minutes
	@$(CLUSTER) up
	@$(CLUSTER) images
	@OMP_NUM_THREADS=1 PYTHONPATH=operator:hack:. $(PYTHON) -m bench --cluster

bench-evidence: setup ## How often each rule is wrong, ours and others', simulated; writes the tables of docs/evidence.md
	@OMP_NUM_THREADS=1 PYTHONPATH=operator:. $(PYTHON) -m bench.evidence --write

images: setup ## Build the operator and runtime images and load them into the local cluster
	@$(CLUSTER) images

cluster-up: setup ## A real Kubernetes on this machine
	@$(CLUSTER) up

cluster-down: ## End it and leave nothing behind
	@$(CLUSTER) down

clean: ## Remove what was built in this folder
	@rm -rf .venv out .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
