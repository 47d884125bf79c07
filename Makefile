# `make` lists the targets. Each does all the set-up that it needs.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
BUF := node_modules/.bin/buf
DEMO := .demo
T ?= tests
PYTEST_ARGS ?=
# Test files run side by side; some wait, so one more than there are cores.
TEST_PROCESSES ?= $(shell expr `nproc` + 1)

# Tests start hundreds of processes: none of them compiles the program again, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1|\2/' | column -t -s '|'

$(READY): pyproject.toml build_protos.py $(wildcard protos/creditexchange/v1/*.proto)
	test -d $(VENV) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

install: $(READY) ## make .venv with everything installed

protos: $(READY) ## compile protos/ again
	$(PYTHON) build_protos.py

# No lock file: npm cannot write one here that also holds on other platforms; versions are exact.
node_modules/.ready: package.json
	npm install --silent --no-audit --no-fund --no-package-lock
	touch $@

# Other people's verifiers, for tests only. They ask for a newer Python than they need.
.interop/.ready: tests/interop/requirements.txt $(READY)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --ignore-requires-python --upgrade \
		--target .interop -r tests/interop/requirements.txt
	touch $@

# A PKCS#11 module for tests/hsm, which fail and say so where it cannot be installed.
softhsm:
	@command -v softhsm2-util >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet softhsm2; } || \
		echo "softhsm2 is not installed; tests/hsm will fail" >&2

# What tests/exports look at PDF with, and a font to set Chinese in; they fail and say so without.
pdf-tools:
	@command -v pdftotext >/dev/null && ls /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc >/dev/null 2>&1 || \
		{ apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends poppler-utils fonts-noto-cjk; } || \
		echo "poppler-utils or fonts-noto-cjk is not installed; tests/exports will fail" >&2

# Chromium and Chinese letters for tests/web, which fail and say so where they cannot be installed.
browser:
	@test -x /usr/bin/chromium || { apt-get update --quiet && apt-get install --yes --quiet chromium fonts-noto-cjk; } || \
		echo "chromium is not installed; tests/web will fail" >&2

web-scripts: node_modules/.ready ## copy the published htmx and QR reader into the sites
	cp node_modules/htmx.org/dist/htmx.min.js gateway/web/site/static/htmx.min.js
	cp node_modules/htmx.org/LICENSE gateway/web/site/static/htmx.LICENSE
	cp node_modules/qr/index.js node_modules/qr/decode.js node_modules/qr/LICENSE-MIT gateway/web/site/static/qr/

# promtool and a real Prometheus for tests/telemetry, nginx for tests/deploy; both fail and say so where they
# cannot be installed.
servers:
	@command -v promtool >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends prometheus; } || \
		echo "prometheus is not installed; tests/telemetry will fail" >&2
	@command -v nginx >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends nginx libnginx-mod-stream; } || \
		echo "nginx is not installed; tests/deploy will fail" >&2

test: $(READY) node_modules/.ready .interop/.ready .fuzz/.ready softhsm pdf-tools browser servers compiler ## run all tests; T=path runs some
	$(PYTHON) -m pytest $(T) --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

bulk-story: $(READY) ## LEARNERS=50000 applicants at two provinces while processes die
	BULK_LEARNERS=$(or $(LEARNERS),50000) $(PYTHON) -m pytest tests/processes/test_bulk_story.py -s

cluster-tools:
	@command -v nginx ip psql >/dev/null && ls /usr/lib/nginx/modules/ngx_stream_module.so /usr/lib/postgresql/*/bin/postgres \
		>/dev/null 2>&1 || { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends \
		nginx libnginx-mod-stream iproute2 postgresql; }

cluster-test: $(READY) cluster-tools ## three hosts in network namespaces behind nginx; hosts die (root)
	$(PYTHON) -m pytest tests/cluster/cluster.py -s

broken-nodes: $(READY) ## every case of the conformance kit against every node with a check taken out
	BROKEN_NODES_WHOLE=1 $(PYTHON) -m pytest tests/conformance/test_broken_nodes.py

properties: $(READY) ## translate 5,000 made-up cases a property
	CASES_A_PROPERTY=5000 $(PYTHON) -m pytest tests/schemes/test_properties.py tests/schemes/test_amounts.py tests/schemes/test_counting.py

# atheris is large and compiled; nothing but the fuzzer needs it.
.fuzz/.ready: $(READY)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --target .fuzz 'atheris>=3.0,<4'
	touch $@

fuzz: $(READY) .fuzz/.ready ## MINUTES=10 of fuzzing, all targets in turn; NAMES="card peer" some of them
	$(PYTHON) -m tests.fuzz --minutes $(or $(MINUTES),10) $(NAMES)

# Tools for a release, which nothing else needs.
.supply/.ready: $(READY)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --target .supply 'uv>=0.11,<1' 'pip-audit>=2.10,<3'
	touch $@

lock: $(READY) .supply/.ready ## renew deploy/lock: the newest versions that fit, with their digests
	$(PYTHON) -m deploy.lock.renew .supply/bin/uv

sbom: $(READY) ## list of parts (CycloneDX JSON) of what deploy/lock installs, dist/sbom.cdx.json
	$(PYTHON) -m deploy.lock.list_parts dist/sbom.cdx.json

audit-dependencies: $(READY) .supply/.ready ## ask for known weaknesses of what deploy/lock installs (network)
	PYTHONPATH=.supply $(PYTHON) -m deploy.lock.ask_weaknesses

# A C compiler for the library under which the nodes run.
compiler:
	@command -v cc >/dev/null || { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends gcc libc6-dev; } || \
		echo "no C compiler is installed; tests/chaos will fail" >&2

chaos: $(READY) compiler ## ROUNDS=50 of faults against real nodes under load; SEED=1; REPEAT=seed of one round; FAULT=one kind
	GRPC_VERBOSITY=NONE GRPC_ENABLE_FORK_SUPPORT=0 $(PYTHON) -m tests.chaos --rounds $(or $(ROUNDS),50) --seed $(or $(SEED),1) \
		$(if $(REPORT),--report $(REPORT)) $(if $(REPEAT),--repeat $(REPEAT)) $(if $(FAULT),--fault "$(FAULT)")

mutations: $(READY) ## take each measure of docs/threat-model.md away and see its tests fail; NAMES="grants rates"
	$(PYTHON) -m tests.mutations $(NAMES)

lint: $(READY) node_modules/.ready ## formatter, ruff, mypy, import-linter, buf
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(BUF) lint

fix: $(READY) ## let ruff format and mend what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

demo: $(READY) ## four provinces on this machine; KEEP=1 leaves them running
	$(VENV)/bin/credit-gateway demo --folder $(DEMO) $(if $(KEEP),--keep)

demo-stop: $(READY) ## stop what `make demo KEEP=1` left running
	$(VENV)/bin/credit-gateway demo --folder $(DEMO) --stop

monitoring: $(READY) servers ## four nodes, a real Prometheus, every fault, every alert
	MONITORING_FULL=1 $(PYTHON) -m pytest tests/telemetry/test_alerts_fire.py -s

dashboards: $(READY) ## write deploy/grafana/*.json again
	$(PYTHON) deploy/grafana/dashboards.py

# What only measurements need: plots, the simulation, the profiler.
.bench-packages/.ready: $(READY)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	mkdir -p .bench-packages && touch $@

bench: .bench-packages/.ready ## measure, ten minutes at most; QUICK=1 for less than two
	$(PYTHON) -m bench $(if $(QUICK),--quick)

bench-large: .bench-packages/.ready ## ten million records on PostgreSQL, 200,000 exchanges; long, about 30 GB of disk
	$(PYTHON) -m bench.large $(if $(RECORDS),--records $(RECORDS)) $(if $(EXCHANGES),--exchanges $(EXCHANGES))

profile: .bench-packages/.ready ## where the CPU time of an exchange goes, as a flame graph
	$(PYTHON) -m bench.profile

simulate: .bench-packages/.ready ## a country of 31 nodes with the costs last measured
	$(PYTHON) -m bench.simulation

clean: ## remove everything that was made
	rm -rf $(VENV) $(DEMO) .fuzz .fuzz-found .supply .interop .bench-packages node_modules creditexchange dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help chaos compiler softhsm browser web-scripts servers cluster-tools cluster-test pdf-tools install protos test fuzz lock sbom audit-dependencies mutations bulk-story broken-nodes properties lint fix demo demo-stop dashboards monitoring bench clean bench-large profile simulate
