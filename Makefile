# Peregrine's commands. `make` prints them.

PIPELINE ?= pipelines/sample.yaml
STAGE    ?=
BACKEND  ?= flex
ARGS     ?=
# The folder that a pipeline looks at, where it has a variable `root`; not taken from the environment.
ROOT     =
CARGO    ?= cargo
LIBTORCH ?= $(HOME)/.cache/peregrine/libtorch-2.9.0
PEERS    ?=

PEREGRINE = $(or $(CARGO_TARGET_DIR),target)/debug/peregrine

.DEFAULT_GOAL := help
.PHONY: help pipeline stage test lint regression gate baseline sample-data bench fuzz docs libtorch weights clean binary backend

# BACKEND=tch links LibTorch and trains on it. Without it nothing here looks for LibTorch. `cuda` and `wgpu` train on a
# GPU; its driver is looked for when a pipeline runs, not when it is built.
ifeq ($(BACKEND),tch)
FEATURES = --features peregrine-cli/tch
DEVICE   = --device libtorch
STEP     = DEVICE=libtorch FEATURES=tch
export LIBTORCH
export LIBTORCH_CXX11_ABI = 1
export LD_LIBRARY_PATH := $(LIBTORCH)/lib$(if $(LD_LIBRARY_PATH),:$(LD_LIBRARY_PATH))
else ifneq ($(filter cuda wgpu,$(BACKEND)),)
FEATURES = --features peregrine-cli/$(BACKEND)
DEVICE   = --device $(BACKEND)
else ifneq ($(BACKEND),flex)
$(error BACKEND is `$(BACKEND)` (choose `flex`, `tch`, `cuda` or `wgpu`))
endif

help:
	@echo 'Peregrine trains image classifiers through pipelines that cache every stage.'
	@echo
	@echo '  make pipeline      build, then run PIPELINE; a second run does only what changed'
	@echo '  make stage         run STAGE of PIPELINE and what it needs'
	@echo '  make test          all tests'
	@echo '  make lint          formatting, clippy without warnings, licences and advisories'
	@echo '  make regression    run PIPELINE and hold its metrics against the baseline (fails below it)'
	@echo '  make gate          flip a fifth of the training labels and hold the regression to fail on them'
	@echo '  make baseline      write the metrics of PIPELINE as its new baseline'
	@echo '  make sample-data   draw data/sample again from the Fashion-MNIST files'
	@echo '  make bench         speed, with a peer beside it where PEERS names a Python environment; full counts'
	@echo '  make fuzz          damaged image files for SECONDS (60): no panic, no flood of memory'
	@echo '  make docs          write the reference of stages and the schema of pipeline files'
	@echo '  make libtorch      fetch LibTorch 2.9.0 for BACKEND=tch (900 MB to fetch, 490 MB on disk)'
	@echo '  make weights       fetch the ImageNet weights that pipelines/transfer.yaml starts from (14 MB)'
	@echo '  make clean         remove the cache of runs and the build'
	@echo
	@echo '  PIPELINE=$(PIPELINE)  STAGE=$(STAGE)  BACKEND=$(BACKEND) (flex, tch, cuda or wgpu)  ARGS=$(ARGS)'
	@echo '  make pipeline PIPELINE=pipelines/traffic_lights.yaml ARGS="--set stages.train.params.epochs=2"'
	@echo '  make pipeline PIPELINE=pipelines/clean_only.yaml ROOT=FOLDER     what is wrong with a folder of images?'

pipeline: binary
	@$(PEREGRINE) run $(PIPELINE) $(STAGE) $(DEVICE) $(if $(ROOT),--set "vars.root=$(ROOT)") $(ARGS)

stage: binary
	@test -n "$(STAGE)" || { echo 'error: no stage was named (make stage STAGE=clean)' >&2; exit 2; }
	@$(PEREGRINE) run $(PIPELINE) $(STAGE) $(DEVICE) $(ARGS)

# Trainings of tests side by side: threads that wait don't keep the processor from the others.
test: export OMP_WAIT_POLICY = passive

# nextest runs tests side by side across crates, and closes with the one summary of them all; what it can't
# run are the examples in documentation, so those come first.
test: backend
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) test --quiet --workspace --doc $(FEATURES) && \
	    $(CARGO) nextest run --workspace $(FEATURES) $(ARGS); \
	else \
	    $(CARGO) test --workspace $(FEATURES) $(ARGS); \
	fi

lint: backend
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets $(FEATURES) -- -D warnings
	@if ! $(CARGO) deny --version >/dev/null 2>&1; then \
	    echo 'cargo-deny is not installed: licences and advisories were not checked'; \
	else \
	    $(CARGO) deny check bans licenses sources || exit 1; \
	    if $(CARGO) deny fetch >/dev/null 2>&1; then $(CARGO) deny check advisories; \
	    else echo 'the advisory database could not be fetched: advisories were not checked'; fi; \
	fi

# The pipeline's own stage `regression` is the gate; a run that it stops has exit code 3.
regression: binary
	@$(PEREGRINE) run $(PIPELINE) $(DEVICE) $(ARGS)
	@$(PEREGRINE) show $(PIPELINE) regression.verdict $(DEVICE) $(ARGS)

gate: binary
	@PEREGRINE=$(PEREGRINE) scripts/flip-labels.sh $(DEVICE)

baseline: binary
	@PEREGRINE=$(PEREGRINE) CARGO="$(CARGO)" DEVICE="$(DEVICE)" scripts/baseline.sh $(PIPELINE) $(STAGE)

sample-data:
	scripts/fashion-mnist.sh data/raw/fashion-mnist
	$(CARGO) run --quiet -p peregrine-data --example sample_data -- data/raw/fashion-mnist data/sample

bench: binary
	@PEREGRINE=$(PEREGRINE) benches/plan_10k.sh
	@PEREGRINE=$(PEREGRINE) benches/hash_10k.sh
	@PEREGRINE=$(PEREGRINE) PEERS=$(PEERS) benches/dvc_peer.sh
	@CARGO="$(CARGO)" PEERS=$(PEERS) benches/decode.sh
	@CARGO="$(CARGO)" PEERS=$(PEERS) benches/clean.sh
	@CARGO="$(CARGO)" PEERS=$(PEERS) $(STEP) benches/step.sh
	@CARGO="$(CARGO)" PEERS=$(PEERS) $(STEP) benches/inference.sh
	@$(CARGO) test --quiet -p peregrine-data --test data -- --ignored full_count

fuzz:
	@$(CARGO) run --quiet -p peregrine-data --example fuzz -- --seconds $(or $(SECONDS),60)

docs: binary
	@$(PEREGRINE) stages --markdown > pipelines/README.md.new && mv pipelines/README.md.new pipelines/README.md
	@$(PEREGRINE) stages --schema > pipelines/pipeline.schema.json.new && mv pipelines/pipeline.schema.json.new pipelines/pipeline.schema.json
	@echo 'wrote pipelines/README.md and pipelines/pipeline.schema.json'

libtorch:
	@scripts/libtorch.sh $(LIBTORCH)

weights:
	@scripts/weights.sh data/raw/weights

clean:
	rm -rf .peregrine
	$(CARGO) clean

binary: backend
	@$(CARGO) build -p peregrine-cli --bin peregrine $(FEATURES)

# Without this check the build script of torch-sys would try to fetch LibTorch by itself.
backend:
ifeq ($(BACKEND),tch)
	@test -f "$(LIBTORCH)/lib/libtorch_cpu.so" || { \
	    echo 'error: LibTorch is not in $(LIBTORCH) (run `make libtorch`, or set LIBTORCH)' >&2; exit 2; }
endif
