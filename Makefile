# Verbs are those of `python -m tuning`; make turns every failure of theirs into its own exit code 2.
PYTHON := .venv/bin/python
UV ?= uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock" --upgrade pyproject.toml --extra dev --extra docs
# These reach the commands by the environment alone: put into a recipe's text, a name such as '$$(rm x)' or 'a; rm x' would
# be run by make or by the shell. `value` is the text as it was given. ARGS are shell words of who calls make, and are meant to be.
override STUDY := $(value STUDY)
override CALENDAR := $(value CALENDAR)
override PYTHON3 := $(value PYTHON3)
override LOCK := $(value LOCK)
override SOAK_MINUTES := $(value SOAK_MINUTES)
export STUDY CALENDAR PYTHON3 LOCK SOAK_MINUTES
.PHONY: help bench tune record simulate courses lr-range lr-value ui dashboard doctor schedule docs reference notebooks pictures test chaos soak check perf gpu-check audit lock clean need-STUDY need-CALENDAR

help: ## print this list; every failure ends in make's exit code 2, `python -m tuning` gives the exact one
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 12

tune: need-STUDY .venv/ready ## search one study: make tune STUDY=housing ARGS="--trials 5 --devices cpu:2"
	$(PYTHON) -m tuning run "$$STUDY" $(ARGS)

bench: need-STUDY .venv/ready ## compare engines, with statistics: make bench STUDY=housing ARGS="--seeds 5 --budget epochs=400"
	set -f; $(PYTHON) -m tuning bench $$STUDY $(ARGS)

lr-range: need-STUDY .venv/ready ## find good learning rates: make lr-range STUDY=housing ARGS="--seeds 3 --batch-size 32"
	$(PYTHON) -m tuning lr-range "$$STUDY" $(ARGS)

record: need-STUDY .venv/ready ## train a grid or sample fully once, for simulations: make record STUDY=housing ARGS="--points 64"
	$(PYTHON) -m tuning record "$$STUDY" $(ARGS)

simulate: need-STUDY .venv/ready ## replay engines on a recording: make simulate STUDY=housing_grid ARGS="--slots 1,8,64"
	$(PYTHON) -m tuning simulate "$$STUDY" $(ARGS)

ui: .venv/ready ## show every trial in MLflow, on this machine only: make ui ARGS="--port 5001"
	$(PYTHON) -m tuning ui $(ARGS)

dashboard: .venv/ready ## show every search in Optuna's dashboard (the extra dashboard): make dashboard ARGS="--port 8081"
	$(PYTHON) -m tuning dashboard $(ARGS)

doctor: .venv/ready ## check Python, libraries, devices and the state folder: make doctor ARGS=--deep
	$(PYTHON) -m tuning doctor $(ARGS)

schedule: need-STUDY need-CALENDAR .venv/ready ## run a study at set times: make schedule STUDY=housing CALENDAR="Mon..Fri 22:00" ARGS="-- --timeout 6h"
	$(PYTHON) -m tuning schedule "$$STUDY" --calendar "$$CALENDAR" $(ARGS)

docs: .venv/ready ## make the pages of docs/_build/html, the reference anew; a warning is an error: make docs ARGS=-E
	$(PYTHON) -m scripts.reference
	$(PYTHON) -m sphinx -q -W --keep-going -b html docs docs/_build/html $(ARGS)

reference: .venv/ready ## write the reference pages of docs/ from the code; ARGS=--check only says which are out of date
	$(PYTHON) -m scripts.reference $(ARGS)

notebooks: .venv/ready ## execute the notebooks of docs/ and keep what they show, some minutes
	$(PYTHON) -m scripts.notebooks $(ARGS)

pictures: .venv/ready ## the pictures of docs/: a search in a terminal, its report, its page in MLflow (needs a chromium)
	$(PYTHON) -m scripts.moving_terminal
	$(PYTHON) -m scripts.screenshots $(ARGS)

courses: .venv/ready ## run every study of the courses and write their figures into docs/courses.md
	$(PYTHON) -m benchmarks.courses $(ARGS)

lr-value: .venv/ready ## measure what a range test gains a search: make lr-value ARGS="--per-structure --seeds 5"
	$(PYTHON) -m benchmarks.lr_value $(ARGS)

test: .venv/ready ## run all tests but those of make chaos: make test ARGS="-k housing"
	PYTHONDONTWRITEBYTECODE= $(PYTHON) -m pytest -m "not slow" -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

chaos: .venv/ready ## faults at random moments, two hours; writes docs/reliability.md. Then the slow tests: make chaos ARGS="-k kill"
	SOAK_MINUTES="$${SOAK_MINUTES:-3}" $(PYTHON) -m tests.chaos all soak --fresh --write --tests
	$(PYTHON) -m pytest -m slow $(ARGS)

soak: .venv/ready ## kills and stops of every part, every 20 s for half an hour: make soak SOAK_MINUTES=30
	$(PYTHON) -m tests.chaos soak $(ARGS)

check: .venv/ready ## lint, layout and types: ruff, mypy --strict; then how the code reads, in figures
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict
	@-$(PYTHON) scripts/readability.py

perf: .venv/ready ## measure against the plain libraries, an hour for each of 3 repeats: make perf ARGS="--parts a,e --quick"
	$(PYTHON) -m benchmarks.perf $(ARGS)

gpu-check: .venv/ready ## check on a GPU what only a GPU shows; writes docs/gpu.md: make gpu-check ARGS="--checks xla,mps"
	$(PYTHON) -m benchmarks.gpu_check $(ARGS)

audit: .venv/ready ## look up known vulnerabilities of the locked packages (needs the network): make audit ARGS=requirements/cpu.txt
	$(PYTHON) -P scripts/audit.py $(ARGS)

lock: ## pin today's versions within the ranges of pyproject.toml (needs uv)
	$(COMPILE) --extra cpu --output-file requirements/cpu.txt
	$(COMPILE) --extra cuda --output-file requirements/cuda.txt

clean: ## remove the environment and caches; mlruns/ stays
	rm -rf .venv .venv.old .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './mlruns/*' -prune -exec rm -rf {} +

.venv/ready: requirements/cpu.txt requirements/cuda.txt pyproject.toml
	@sh scripts/setup.sh

need-STUDY:
	@$(if $(STUDY),,$(error say which study: STUDY=housing; there are: $(notdir $(basename $(filter-out studies/_%,$(wildcard studies/*.py))))))

need-CALENDAR:
	@$(if $(CALENDAR),,$(error say when, as systemd writes it: CALENDAR="Mon..Fri 22:00"))
