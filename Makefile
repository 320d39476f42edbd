# Everything runs in environments that tools/environment.py builds outside the tree: Python 3.11, make and git are enough.

PYTHON ?= python3
ARGS ?=
# Tests run in so many processes; WORKERS=0 for a debugger.
WORKERS ?= 2
PYTEST = -m pytest -n $(WORKERS) --dist worksteal

# Compiling all SDKs anew takes each process 12 s; unset is as good as empty.
export PYTHONDONTWRITEBYTECODE =

# What differs between versions of the SDKs runs against older ones too; the rest of what counts calls once more with the
# oldest, and with the oldest OpenTelemetry. (The local provider's own tests use the SDKs as they are today to look at
# its answers.)
SURFACE_TESTS = tests/test_contract.py tests/test_streams.py tests/test_types_unchanged.py tests/test_odd_answers.py \
	$(patsubst %,tests/test_%.py,bedrock cohere deferred google mistral ollama realtime voyage xai)
SDK_TESTS ?= tests/test_demo.py tests/test_examples.py $(filter-out tests/test_local_provider.py, \
	$(shell grep -lE '^(from|import) (openai|anthropic|surfaces|limit_calls)\b' tests/test_*.py))
TESTS_middle = $(SURFACE_TESTS) tests/test_limit_actions.py
TESTS_oldest = $(SDK_TESTS)

# $(call in,newest) starts a recipe that has an environment's interpreter in $$python and its programs in $$bin.
in = @set -eu; python="$$($(PYTHON) tools/environment.py $(1))"; bin="$$(dirname "$$python")"; cd '$(CURDIR)';

# Builds the environments of tests/beside.
beside = for name in beside-current beside-older; do $(PYTHON) tools/environment.py "$$name" >/dev/null; done

.PHONY: help demo test test-newest test-middle test-oldest test-early test-apart test-beside test-ops side-by-side lint format bench \
	semconv providers build collector jaeger stack

help:
	@echo "make demo     an agent against the local provider, its trace as a tree; ARGS='--width 100'"
	@echo "make test     lint, then the tests against the newest, a middle and the oldest provider SDKs, some early or"
	@echo "              apart, beside others, and with a real collector, Jaeger and Prometheus where they can be had"
	@echo "make stack    collector, Jaeger and Prometheus on this machine, until Ctrl-C; ARGS=--demo sends the demo through"
	@echo "make collector, make jaeger   build them with Go, once for this machine"
	@echo "make lint     ruff, mypy --strict, import direction, generated files"
	@echo "make format   let ruff format and fix what it can"
	@echo "make bench    what a call costs, and whether memory grows"
	@echo "make side-by-side  run beside other packages, and write docs/side-by-side.md"
	@echo "make semconv  write constants and tables from semconv/registry"
	@echo "make providers  write docs/providers.md and docs/comparison.md"
	@echo "make build    sdist and wheel, into dist/"

demo:
	$(call in,newest) "$$bin/tracetoll" demo $(ARGS)

test: lint test-newest test-middle test-oldest test-early test-apart test-beside test-ops

test-newest:
	$(call in,newest) echo "== tests, newest SDKs"; "$$python" $(PYTEST) --ignore tests/beside --ignore tests/ops $(ARGS)

test-middle test-oldest: test-%:
	$(call in,$*) echo "== tests, $* SDKs"; "$$python" $(PYTEST) $(ARGS) $(TESTS_$*)

test-early:
	$(call in,early) echo "== tests, early SDKs"; "$$python" $(PYTEST) --apart tidy $(ARGS) $(SDK_TESTS)

# 5 is pytest's word for no tests.
test-apart:
	$(call in,apart) echo "== tests, SDKs that need an environment apart"; \
	for which in tidy untidy; do \
	  "$$python" $(PYTEST) --apart $$which $(ARGS) $(SDK_TESTS) || test $$? = 5; \
	done

test-beside:
	$(call in,newest) $(beside); echo "== tests, beside other packages"; "$$python" $(PYTEST) $(ARGS) tests/beside

# Builds what is missing; where that can't be, its tests say so and are left out.
test-ops:
	$(call in,newest) $(PYTHON) tools/environment.py beside-current >/dev/null; \
	echo "== tests, operations kit"; $(PYTHON) tools/binaries.py; \
	"$$python" -m pytest -n $(WORKERS) --dist loadfile $(ARGS) tests/ops

collector jaeger:
	@$(PYTHON) tools/binaries.py $@

stack:
	$(call in,newest) $(PYTHON) tools/binaries.py >/dev/null; "$$python" tools/stack.py $(ARGS)

side-by-side:
	$(call in,newest) $(beside); "$$python" tests/beside/runs.py

lint:
	$(call in,newest) echo "== lint"; \
	"$$bin/ruff" check; \
	"$$bin/ruff" format --check; \
	"$$bin/mypy"; \
	"$$bin/mypy" examples/acme_provider/acme_llm; \
	"$$python" semconv/generate.py --check; \
	"$$python" tools/providers.py --check; \
	"$$python" tools/comparison.py --check; \
	if grep -q 'importlinter.contracts' pyproject.toml; then "$$bin/lint-imports"; fi

format:
	$(call in,newest) "$$bin/ruff" check --fix --exit-zero; "$$bin/ruff" format

bench:
	$(call in,newest) "$$python" benchmarks/overhead.py $(ARGS); "$$python" benchmarks/limits.py; "$$python" benchmarks/rollup.py; "$$python" benchmarks/console.py; \
	"$$python" benchmarks/memory.py

semconv:
	$(call in,newest) "$$python" semconv/generate.py

providers:
	$(call in,newest) "$$python" tools/providers.py; "$$python" tools/comparison.py

build:
	$(call in,newest) "$$python" -m build --outdir dist
