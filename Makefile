# Everything a person types. `make` alone lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check -q
STATE ?= build/demo
PORT ?= 8443
ARCH ?= amd64
KILLS ?= 50
RUNS ?= 2000
OPERATIONS ?= 5000
HOURS ?= 24
SPEED ?= 42
CUTS ?= 50
IMAGE ?= $(CURDIR)/build/image/$(ARCH)/linekeep.img
KEEP ?= yes
# Two runs of about the same length at once, since a translated machine uses one processor.
CHECKS_BESIDE_amd64 := $(addprefix tests/image/test_,attack.py faults.py firmware.py gpio.py)
CHECKS_amd64 := tests/image $(addprefix --ignore=,$(CHECKS_BESIDE_amd64))
# An arm64 machine is translated everywhere but on arm64, and slow: it starts, is set up and called, and starts again.
CHECKS_arm64 := tests/image/test_raspberry_pi.py $(addprefix tests/image/test_life.py::test_, \
  the_first_boot_ends_well what_was_said_on_the_line_is_heard_through_the_page \
  a_box_that_was_shut_down_has_its_calls_again all_is_well)

RUN_READY := .venv/.run-ready
DEVELOP_READY := .venv/.develop-ready
GERMAN := webui/translations/de/LC_MESSAGES/messages

.PHONY: help run install uninstall image check-image .check-image .check-image-beside power-cuts test lint hardware bench bench-million day soak crash attack lock clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(RUN_READY) ## start the whole product with a simulated line and TPM; prints address and claim code
	@.venv/bin/linekeep demo --state $(STATE) --port $(PORT)

install: ## install on this Debian machine, as root: users, units, program; starts it
	@systemd/install

uninstall: ## take it off again, as root; recordings, keys and settings stay unless KEEP=no
	@KEEP=$(KEEP) systemd/uninstall

image: $(RUN_READY) ## build what is flashed onto a board, as root; ARCH=amd64|arm64
	requirements/install-debian debian-image.txt $(if $(filter arm64,$(ARCH)),debian-image-arm64.txt)
	@image/build $(ARCH)

test: $(DEVELOP_READY) ## run all tests
	.venv/bin/python -m pytest $(TESTS)

lint: $(DEVELOP_READY) ## ruff, mypy, shellcheck
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	shellcheck image/build image/ldd requirements/install-debian .ci/run systemd/install systemd/make-wheels systemd/uninstall

hardware: $(DEVELOP_READY) ## simulate and draw the line interface; schematics as PDF in build/hardware
	.venv/bin/python -m hardware

bench: $(DEVELOP_READY) ## measure speed and memory; prints JSON
	@.venv/bin/python -m tests.bench.whole

bench-million: $(DEVELOP_READY) ## forget and start with a million calls; prints JSON (long, 12 GB)
	@.venv/bin/python -m tests.bench.million

day: $(DEVELOP_READY) ## a day of a signal that counts, on eight lines, HOURS at SPEED times life; prints JSON (long)
	@.venv/bin/python -m tests.bench.day --hours $(HOURS) --speed $(SPEED)

soak: $(DEVELOP_READY) ## kill each daemon KILLS times during calls (long)
	LINEKEEP_KILLS=$(KILLS) .venv/bin/python -m pytest tests/system/test_kill.py \
	  tests/system/test_must_not_record.py --timeout 7200

crash: $(DEVELOP_READY) ## cut the power RUNS times on a disk that loses what was not synced (long)
	LINEKEEP_CRASH_RUNS=$(RUNS) .venv/bin/python -m pytest tests/crash/test_disk_crash.py -rP --timeout 7200

attack: $(DEVELOP_READY) ## live OPERATIONS acts under attack, against a thief who keeps every byte (long)
	LINEKEEP_ATTACK_OPERATIONS=$(OPERATIONS) .venv/bin/python -m pytest tests/crash/test_attack.py -rP --timeout 7200

lock: $(DEVELOP_READY) ## renew the hash-locked requirements from the .in files
	for list in build run develop; do \
	  .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url -q --upgrade -o requirements/$$list.txt requirements/$$list.in; done

check-image: $(DEVELOP_READY) ## boot the built image in virtual machines and try all of it there (long); ARCH=amd64|arm64
	requirements/install-debian debian-image.txt $(if $(filter arm64,$(ARCH)),debian-check-arm64.txt)
	$(MAKE) --jobs=2 --output-sync .check-image $(if $(CHECKS_BESIDE_$(ARCH)),.check-image-beside)

.check-image:
	LINEKEEP_IMAGE=$(IMAGE) LINEKEEP_ARCH=$(ARCH) .venv/bin/python -m pytest $(CHECKS_$(ARCH)) -s --timeout 3600

.check-image-beside:
	LINEKEEP_IMAGE=$(IMAGE) LINEKEEP_ARCH=$(ARCH) .venv/bin/python -m pytest $(CHECKS_BESIDE_$(ARCH)) -s --timeout 3600

power-cuts: $(DEVELOP_READY) ## cut the power of the image's virtual machine CUTS times; prints JSON (very long)
	requirements/install-debian debian-image.txt
	@LINEKEEP_IMAGE=$(IMAGE) .venv/bin/python -m tests.image.power_cuts --cuts $(CUTS)

clean: ## remove what make made, the demonstration's recordings too
	rm -rf build .venv *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f $(GERMAN).mo

$(RUN_READY): requirements/build.txt requirements/run.txt requirements/debian-run.txt pyproject.toml $(GERMAN).po
	requirements/install-debian debian-run.txt
	[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	$(PIP) install --require-hashes -r requirements/build.txt
	$(PIP) install --no-build-isolation --require-hashes -r requirements/run.txt
	$(PIP) install --no-build-isolation --no-deps -e .
	.venv/bin/pybabel compile -d webui/translations
	touch $@

$(DEVELOP_READY): $(RUN_READY) requirements/develop.txt requirements/debian-develop.txt
	requirements/install-debian debian-run.txt debian-develop.txt
	$(PIP) install --require-hashes -r requirements/develop.txt
	touch $@
