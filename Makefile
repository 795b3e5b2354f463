# The one door. Everything below needs only Node with npm, and make; what else a target needs, it installs or names.

SHELL := /bin/sh
.DEFAULT_GOAL := help
# The pinned Node comes through npm (package.json, optionalDependencies): an old system Node is no obstacle.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
FOLDER ?= controller/examples
ARGS ?=

.PHONY: help run test lint check e2e chaos fuzz bench cluster generate check-generate golden build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## install, build and run the gateway on the example configuration (FOLDER=… for yours)
	@node controller/dist/cli/main.js run $(FOLDER) $(if $(filter controller/examples,$(FOLDER)),--samples) $(ARGS)

test: build ## install, build and run all unit and feature tests (ARGS=… for vitest)
	@vitest run $(ARGS)

lint: node_modules/.installed ## lint, format and import rules (biome)
	@biome check .

check: lint check-generate test ## what has to pass before a commit

e2e: build ## start a real Kubernetes from its Go modules and run every scenario (ARGS="name …" for some)
	@node e2e/main.ts $(ARGS)

chaos: build ## backends killed, paused, slowed, … under load, without and with a policy (ARGS=--short for the short form)
	@node e2e/chaos/main.ts $(ARGS)

fuzz: build ## our HTTP/1.1 parsers beside llhttp, guided by coverage; whole conversations beside nginx (ARGS="--seconds 600 --seed 7")
	@node dataplane/fuzz/main.ts $(ARGS)

bench: build ## measure beside nginx, HAProxy, Envoy and @fastify/http-proxy (ARGS=--quick for the short form)
	@node e2e/bench/main.ts $(ARGS)

soak: build ## full load of every protocol for ten minutes; fails when memory grows or a request is lost (ARGS="--minutes 2")
	@node e2e/soak/main.ts $(ARGS)

cluster: build ## start the local cluster and keep it until Ctrl-C
	@node e2e/cluster/main.ts up $(ARGS)

generate: build ## write the CRDs, their chart and the field reference from the schemas
	@node controller/dist/api/generate.js

check-generate: build ## fail when a generated file differs from its source
	@node controller/dist/api/generate.js --check

golden: build ## rewrite the compiler's golden files; read the diff
	@UPDATE_GOLDEN=1 vitest run controller/compile

build: node_modules/.installed ## compile the packages
	@start=$$(date +%s); tsc -b && echo "  build ($$(( $$(date +%s) - start )) s)"

clean: ## remove what was built and installed
	@rm -rf node_modules dataplane/dist controller/dist e2e/dist .tidegate

node_modules/.installed: package.json package-lock.json dataplane/package.json controller/package.json e2e/package.json
	@start=$$(date +%s); echo "  installing npm packages (once, about half a minute) …"; \
	npm ci --no-progress --loglevel=error >/dev/null && \
	node -e 'const [major] = process.versions.node.split("."); if (major < 24) { console.error(`Tidegate needs Node 24 or newer; this platform has no pinned one, and the system has $${process.version}. Install Node 26.`); process.exit(1) }' && \
	echo "  node $$(node --version | tr -d v) · npm packages ($$(( $$(date +%s) - start )) s)" && touch $@
