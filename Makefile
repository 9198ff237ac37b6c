# From a fresh clone: `make repro` runs the whole pipeline, `make test` all tests. Nothing need be
# activated. For a package manager of your own: make INSTALL=".venv/bin/pip install" repro
PYTHON ?= python3
INSTALL ?= .venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python
IN_VENV := . .venv/bin/activate &&

.PHONY: repro test test-fast lint bench clean

repro: .venv/installed
# A zip of the project is no git repository; a killed DVC leaves half a file; a mistake in params.yaml is said
# better before DVC meets it.
	@test -e .git || .venv/bin/dvc config --local core.no_scm true
	@$(IN_VENV) python -m pipeline.work.dvc_lock
	@$(IN_VENV) python -m stages code >/dev/null
	$(IN_VENV) dvc repro

# Three files at a time: the tests that run DVC leave much of two cores idle.
test: .venv/installed
	$(IN_VENV) python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-fast: .venv/installed
	$(IN_VENV) python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not e2e"

lint: .venv/installed
	$(IN_VENV) ruff check . && ruff format --check . && mypy

bench: .venv/installed
	$(IN_VENV) python -m benchmarks.manifest
	$(IN_VENV) python -m benchmarks.overhead
	$(IN_VENV) python -m benchmarks.memory
	$(IN_VENV) python -m benchmarks.noop
	$(IN_VENV) python -m benchmarks.mtcnn
	$(IN_VENV) python -m benchmarks.visual
	$(IN_VENV) python -m benchmarks.speaker
	$(IN_VENV) python -m benchmarks.decode
	$(IN_VENV) python -m benchmarks.audio
	$(IN_VENV) python -m benchmarks.encoders
	$(IN_VENV) python -m benchmarks.training $(if $(MELD),--annotations $(MELD))
ifdef MELD
	$(IN_VENV) python -m benchmarks.networks --annotations $(MELD)
	$(IN_VENV) python -m benchmarks.text $(MELD)
	$(IN_VENV) python -m benchmarks.text_meld $(MELD)
	$(IN_VENV) python -m benchmarks.precision $(MELD) 3 7
else
	@echo "The figures on text need MELD's annotations: make bench MELD=<folder of train_sent_emo.csv>"
endif

# uv installs the same packages as pip several times faster, which matters with torch's gigabytes.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@test -d .venv || $(PYTHON) -m venv .venv
	@echo "installing into .venv (about 6 GB: torch comes with its CUDA libraries) ..."
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(INSTALL) --constraint constraints.txt --editable ".[test]"
	@touch $@

# What `make` and the tools made; neither data nor the item store, which may have taken days.
clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache dvc_plots
