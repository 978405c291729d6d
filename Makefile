# Every habit of the project. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
# `make test PYTHON=python3.13` has an environment of its own: .venv-3.13.
VERSION := $(patsubst python%,%,$(filter python3.%,$(notdir $(PYTHON))))
VENV := .venv$(VERSION:%=-%)
BIN := $(VENV)/bin

# Tests start Python two hundred times, which would compile the modules each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## list what can be made
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "%-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---------------------------------------------------------------------------------------------------- use it

.PHONY: run
run: export OTEL_METRICS_EXPORTER ?= prometheus
run: $(VENV)/run.stamp  ## run the service with simulated users: no Docker, no root, no second program
	$(BIN)/randsvc serve --with-auth --users 5

.PHONY: stack
stack: $(VENV)/dev.stamp  ## run the whole chain natively: service, Collector, Prometheus, Alertmanager (LOGS=1: logs and traces too)
	$(BIN)/randsvc stack $(if $(LOGS),--logs)

.PHONY: gameday
gameday: packages $(VENV)/dev.stamp  ## run a game day on a native stack: SEED=5, MINUTES=45, TEAMS=1, HINTS=1; writes gameday-5/report.html
	$(BIN)/randsvc gameday --with-stack --seed $(or $(SEED),5) --minutes $(or $(MINUTES),45) \
		--teams $(or $(TEAMS),1) --hints $(or $(HINTS),1)

.PHONY: stack-ha
stack-ha: PACKAGES := prometheus-blackbox-exporter haproxy
stack-ha: packages $(VENV)/dev.stamp  ## run the highly available layout natively: replicas of every part, Thanos (3 min to build it once)
	$(BIN)/randsvc stack --ha

.PHONY: tools
tools: $(VENV)/dev.stamp  ## build the native programs, and print their folder
	@$(BIN)/python -m randsvc.stack.build

# --------------------------------------------------------------------------------------------- work on it

# What comes from the system, by the names of Debian's packages; what stays missing, the tests name.
PACKAGES := chromium prometheus-blackbox-exporter faketime haproxy iproute2 openssl
.PHONY: packages
packages:
	@missing=$$(for name in $(PACKAGES); do command -v $$name >/dev/null || dpkg -s $$name >/dev/null 2>&1 || echo $$name; done); \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

# Half of the tests wait for real programs; a module is in one process, for what its tests share.
SIDE_BY_SIDE := --numprocesses=3 --dist=loadscope --no-loadscope-reorder
.PHONY: test
test: packages $(VENV)/dev.stamp  ## run every test, real programs included
	@if command -v go >/dev/null; then \
		{ $(BIN)/python -m randsvc.stack.build && $(BIN)/python -m deploy.cluster.programs; } >/dev/null; fi
	$(BIN)/pytest $(or $(ARGS),$(SIDE_BY_SIDE))

.PHONY: quick
quick: $(VENV)/dev.stamp  ## run every test that starts no native program, no browser and no service as a process
	$(BIN)/pytest -m 'not native and not process' $(or $(ARGS),$(SIDE_BY_SIDE))

.PHONY: coverage
coverage: $(VENV)/dev.stamp  ## run the tests, and list the lines of ours that none reaches (in twice the time)
	$(BIN)/pytest --cov --cov-report=term-missing:skip-covered $(or $(ARGS),$(SIDE_BY_SIDE))

.PHONY: check
check: $(VENV)/dev.stamp  ## lint, format, types, layers, dead code, dependencies, workflows, and whether what is generated is up to date
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/deptry .
	$(BIN)/deptry randsvc --known-first-party randsvc --ignore DEP002 --non-dev-dependency-groups generate,course
	$(BIN)/vulture
	$(BIN)/vulture randsvc benchmarks scenarios course deploy tests
	$(BIN)/zizmor --offline --quiet .github
	@if command -v go >/dev/null; then go -C .ci/actionlint tool actionlint; \
	else echo "The workflows are not checked by actionlint: no Go to build it"; fi
	$(BIN)/python -m randsvc.generate --check

.PHONY: generate
generate: $(VENV)/dev.stamp  ## write again what is generated: rules, dashboards, the reference of metrics
	$(BIN)/python -m randsvc.generate

.PHONY: histories
histories: export TEST_HISTORIES ?= 1000
histories: $(VENV)/dev.stamp  ## compare what Prometheus counts in 1,000 random histories with the books (2 min)
	$(BIN)/pytest tests/stack/test_histories.py

.PHONY: bench
bench: PACKAGES := valgrind wrk
bench: packages $(VENV)/dev.stamp  ## measure the price of measuring, and of being read (8 min; leave the machine alone)
	$(BIN)/python -m benchmarks

.PHONY: bench-ha
bench-ha: PACKAGES := haproxy prometheus-blackbox-exporter
bench-ha: packages $(VENV)/dev.stamp  ## measure what the highly available layout costs, part by part (5 min; leave the machine alone)
	$(BIN)/python -m benchmarks.ha_cost

.PHONY: bench-recovery
bench-recovery: $(VENV)/dev.stamp  ## measure how well distributions are recovered, against the truth (10 min)
	$(BIN)/python -m benchmarks.recovery

.PHONY: bench-drift
bench-drift: $(VENV)/dev.stamp  ## measure how soon a drift is found, and how often one that is not there (1 min)
	$(BIN)/python -m benchmarks.drift

.PHONY: corpus
corpus: $(VENV)/dev.stamp  ## judge every right and wrong answer to the exercises (hours; FAMILY=metrics for one family, ARGS=--help)
	$(BIN)/python -m tests.course.corpus $(FAMILY) $(ARGS)

.PHONY: month
month: $(VENV)/dev.stamp  ## replay a healthy month, and one with every incident, with the alerts of production
	$(BIN)/python -m benchmarks.month.low_traffic
	$(BIN)/python -m benchmarks.month

.PHONY: soak
soak: $(VENV)/dev.stamp  ## serve good clients next to hostile ones for MINUTES=60, and judge what they and the machine notice
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),60) --seed $(or $(SEED),1)

.PHONY: fuzz
fuzz: $(VENV)/dev.stamp  ## send noise to every port (REQUESTS=1000000, MINUTES=60 at most) and every parser, and judge it
	$(BIN)/python -m benchmarks.fuzz --requests $(or $(REQUESTS),1000000) --seed $(or $(SEED),1) \
		$(if $(MINUTES),--minutes $(MINUTES))

.PHONY: chaos
chaos: PACKAGES := faketime
chaos: packages $(VENV)/dev.stamp  ## break the native chain at random, TRIALS=40 times, and compare all books (half a minute each)
	$(BIN)/python -m benchmarks.chaos --trials $(or $(TRIALS),40) --seed $(or $(SEED),1)

.PHONY: chaos-ha
chaos-ha: PACKAGES := faketime haproxy prometheus-blackbox-exporter
chaos-ha: packages $(VENV)/dev.stamp  ## break the highly available layout at random, TRIALS=200 times, and compare all books (a minute each)
	$(BIN)/python -m benchmarks.chaos_ha --trials $(or $(TRIALS),200) --seed $(or $(SEED),1)

.PHONY: cluster
cluster chaos-cluster: PACKAGES := containerd runc containernetworking-plugins nftables iptables ipset iproute2 \
	openssl prometheus-blackbox-exporter
cluster: packages $(VENV)/dev.stamp  ## run Kubernetes with two nodes and the chart on this machine (root, Linux; the first build takes 30 min)
	$(BIN)/python -m deploy.cluster

.PHONY: chaos-cluster
chaos-cluster: packages $(VENV)/dev.stamp  ## upgrade, drain, cut and saturate that cluster under load, and count what fails (18 min)
	$(BIN)/python -m benchmarks.chaos_cluster

.PHONY: starts
starts: packages $(VENV)/dev.stamp  ## start and restart the stack on a busy machine, NUMBER=1 times (7 min each), and expect no alert
	$(BIN)/python -m benchmarks.starts --number $(or $(NUMBER),1)

LOCK = .cache/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-strip-extras --custom-compile-command 'make lock'
.PHONY: lock
lock:  ## pin the dependencies of pyproject.toml again, with hashes
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/pip install --quiet --require-hashes -r requirements/lock.txt
	$(LOCK) pyproject.toml --output-file requirements/run.txt
	$(LOCK) --group users --output-file requirements/users.txt
	$(LOCK) pyproject.toml --group dev --constraints requirements/run.txt --output-file requirements/dev.txt
	echo uv | $(LOCK) - --output-file requirements/lock.txt

# ------------------------------------------------------------------------------------------------- set it up

$(VENV)/%.stamp: requirements/%.txt pyproject.toml
	@# pyenv starts only the version that it is set to.
	@test -x $(BIN)/python || $(if $(VERSION),PYENV_VERSION=$$(pyenv latest $(VERSION) 2>/dev/null)) $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.PHONY: clean
clean:  ## remove what was installed and built here
	rm -rf .venv* .cache *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
