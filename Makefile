# Two commands for a new user: `make hsm` and `make test`. Both set up .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: hsm test test-backends test-oldest lint docs install clean

# Runs are timed from here; bytecode caches save seconds at every start.
export PYTHONDONTWRITEBYTECODE :=

# pip would compile every module, which takes longer than to unpack them; Python
# compiles those that it imports.
PIP := --quiet --no-compile

hsm: .venv/installed
	$(BIN)/python -m reproductions.hsm_loss --beta 1 --gamma 2

test: .venv/tested
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What claims to run on JAX and PyTorch, there: some minutes for each.
ON_BACKENDS := tests/losses tests/metrics tests/codecs \
	tests/training/test_optimizers.py tests/models/test_hourglass.py \
	tests/models/test_mss_net.py tests/models/test_import_weights.py

# JAX compiles much that runs once: to optimise it takes longer.
test-backends: export XLA_FLAGS = --xla_backend_optimization_level=0
test-backends: .venv/tested-backends
	$(BIN)/python -m pytest tests/test_backends.py
	KERAS_BACKEND=jax $(BIN)/python -m pytest $(ON_BACKENDS)
	KERAS_BACKEND=torch $(BIN)/python -m pytest $(ON_BACKENDS)

# The lower bounds of setup.py, all at once: some minutes.
OLDEST := .venv-oldest/bin
test-oldest:
	$(PYTHON) -m venv --clear .venv-oldest
	$(OLDEST)/python -m pip install --quiet uv
	$(OLDEST)/uv pip install --quiet --python $(OLDEST)/python \
		--resolution lowest-direct -e '.[test]'
	$(OLDEST)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# Into build/site, with the API from the docstrings: it imports nothing of the
# suite, so that a small environment of its own is enough.
docs: .venv-docs/made
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --strict
	@echo 'Next: open build/site/index.html; its search needs a server:'
	@echo '$(PYTHON) -m http.server --directory build/site'

.venv-docs/made: docs/requirements.txt
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python -m pip install $(PIP) -r docs/requirements.txt
	touch $@

install: .venv/installed

.venv/installed: setup.py requirements.txt | .venv/made
	$(BIN)/python -m pip install $(PIP) -r requirements.txt -e .
	touch $@

.venv/tested: setup.py requirements.txt | .venv/made
	$(BIN)/python -m pip install $(PIP) -r requirements.txt -e '.[test]'
	touch .venv/installed $@

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed: make PYTHON=python3.12'; exit 1; }
	$(PYTHON) -m venv .venv \
		|| { echo 'On Debian and Ubuntu: sudo apt install python3-venv'; exit 1; }
	touch $@

# The CPU builds; PyPI's torch for Linux brings gigabytes of CUDA.
.venv/tested-backends: .venv/tested
	$(BIN)/python -m pip install $(PIP) jax==0.10.2 torch==2.13.0 \
		--extra-index-url https://download.pytorch.org/whl/cpu
	touch $@

clean:
	rm -rf .venv .venv-oldest .venv-docs build *.egg-info
