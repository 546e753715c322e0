# Everything runs in .venv, made with the newest Python at hand that can make one.
# `make run PORT=9000`, `make demo REPLAY=frames.jsonl.gz`, `make run PYTHON=/usr/bin/python3.11`.
SHELL = /bin/sh
PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
BIN = .venv/bin
TESTS ?= tests
WORKERS ?= 2

.PHONY: run demo status stop test fast lint fix types bench soak lock

run: .venv/requirements.lock
	@exec $(BIN)/python manage.py up

demo: .venv/requirements.lock
	@exec $(BIN)/python manage.py up --demo $(if $(REPLAY),--replay '$(REPLAY)')

status: .venv/requirements.lock
	@$(BIN)/python manage.py status || test $$? -eq 3

stop: .venv/requirements.lock
	@exec $(BIN)/python manage.py stop

test: .venv/requirements-dev.lock
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS) || { test $$? -eq 1 && echo \
		"again, alone: beside others a time limit may be too short" && \
		exec $(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(TESTS); }

# The tests of the modules that the import table calls pure.
PURE = $(shell sed -n '/contract:pure/,/forbidden_modules/s,^ *\([a-z]*\)\.\([a-z_]*\)$$,tests/\1/test_\2*.py,p' \
	.importlinter)
fast: .venv/requirements-dev.lock
	@exec $(BIN)/python -m pytest -q --hypothesis-profile=fast -m "not services" $(wildcard $(PURE))

lint: .venv/requirements-dev.lock
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

fix: .venv/requirements-dev.lock
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: .venv/requirements-dev.lock
	@exec $(BIN)/mypy .

bench: .venv/requirements-dev.lock
	@exec $(BIN)/python -m bench

soak: .venv/requirements-dev.lock
	@$(BIN)/python -m bench.soak && $(BIN)/python -m bench.soak_weight

# Versions for every Python from 3.11.0 on, with hashes.
lock: .venv/uv
	@for name in requirements requirements-dev; do \
		"$$(cat .venv/uv)" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--upgrade --no-header $$name.txt --output-file $$name.lock || exit 1; done

# Installed again only when the content of the lock has changed.
.venv/%.lock: %.lock .venv/uv
	@if cmp -s $< $@; then touch $@; exit 0; fi; \
	echo "installing $<"; \
	{ test -s .venv/uv && "$$(cat .venv/uv)" pip install --quiet --system-certs \
		--require-hashes --python $(BIN)/python -r $<; } \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<; \
	test $$? -eq 0 && cp $< $@

# The virtual environment, and the path of the uv that installs into it: the one on PATH, else one
# of its own; empty where neither is to be had, then pip does it.
.venv/uv:
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or newer with venv" \
		"(Debian: apt install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || { echo "making .venv with $(PYTHON)"; \
		$(PYTHON) -m venv --clear .venv; }
	@command -v uv > .venv/uv.new || { $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --require-hashes -r requirements-uv.lock \
		&& echo $(BIN)/uv > .venv/uv.new; } || true
	@mv .venv/uv.new $@
