# The front door. `make demo` and `make test` need Python >= 3.11, make and a network; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# Tests start hundreds of Python processes. Where bytecode may not be kept, each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test kernels promtool chromium vendor check bench soak chaos up lock clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Burnline needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	touch $(STAMP)

demo: setup
	$(BIN)/burnline demo

up: setup
	$(BIN)/burnline up

# A file's tests stay together, each process has servers of its own (about 1 GB). In order, which begins with the longest.
# One process more than cores: tests wait for servers a good part of their time.
# Several brokers, databases and workers share a few cores here, so what fails is shown and then tried once more, alone: a
# test that fails there too fails the run.
PROCESSES = $(shell $(PYTHON) -c 'import os; print(min((os.cpu_count() or 1) + 1, 4))')
test: setup
	$(MAKE) --no-print-directory -j 2 check kernels promtool chromium
	$(BIN)/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --durations 25 || \
	  $(BIN)/pytest --last-failed --last-failed-no-failures none

# Compiled while the checks run: each process of the tests would begin with it.
kernels: setup
	$(BIN)/python -m tests.compiled

# Prometheus referees the scenarios, Alertmanager receives alerts. Debian's packages are unpacked only: installed, they would
# start servers. Where there is no apt, those tests are skipped and say so.
PROMETHEUS := .burnline/prometheus
UNPACKED := prometheus prometheus-alertmanager
promtool:
	@test -x $(PROMETHEUS)/usr/bin/promtool -a -x $(PROMETHEUS)/usr/bin/prometheus-alertmanager || ( \
	  mkdir -p $(PROMETHEUS) && cd $(PROMETHEUS) && \
	  { apt-get download -qq $(UNPACKED) || { apt-get update -qq && apt-get download -qq $(UNPACKED); }; } && \
	  for package in prometheus*.deb; do dpkg-deb -x $$package . && rm $$package; done ) > /dev/null 2>&1 || \
	  echo "neither promtool nor Alertmanager: tests that need them will be skipped"

# The page's tests look at it in Debian's Chromium, unpacked with the libraries that this machine lacks. After promtool: two
# would not share apt's lock. Where there is no apt, those tests are skipped and say so.
CHROMIUM := .burnline/chromium
chromium: promtool
	@test -x $(CHROMIUM)/usr/lib/chromium/chromium || ( \
	  mkdir -p $(CHROMIUM)/debs/partial && cd $(CHROMIUM) && \
	  fetch="apt-get install --download-only --yes -qq --no-install-recommends -o Debug::NoLocking=1 \
	    -o Dir::Cache::archives=$$PWD/debs chromium fonts-dejavu-core" && \
	  { $$fetch || { apt-get update -qq && $$fetch; }; } && \
	  for package in debs/*.deb; do dpkg-deb -x $$package . && rm $$package; done ) > /dev/null 2>&1 || \
	  echo "no Chromium: tests of the page will be skipped"

# The page's libraries, out of npm packages whose hash is written down; needed only to take newer ones.
VENDOR := pipeline/web/page/vendor
vendor:
	@cd $(VENDOR) && while read -r name version hash files; do \
	  tarball=$$(npm pack --silent "$$name@$$version") && echo "$$hash  $$tarball" | sha512sum --check --quiet && \
	  rm -rf "$$name" && mkdir "$$name" && \
	  tar -xzf "$$tarball" -C "$$name" --transform 's,/dist/,/,' --strip-components=1 $$(printf 'package/%s ' $$files) && rm "$$tarball" || exit 1; \
	done < packages.txt && find */* -type f | sort | xargs sha256sum > SHA256SUMS

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.security.audit build

bench: setup
	$(BIN)/python -m tests.bench

soak: setup
	$(BIN)/python -m tests.bench soak

chaos: setup
	$(BIN)/python -m tests.chaos

lock: setup
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --all-extras --no-header pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .burnline build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
