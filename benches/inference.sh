#!/bin/sh
# A forward pass in evaluation at 224×224, Peregrine beside PyTorch eager: see step.sh, which takes the same variables.
#   PEERS=path/to/venv [DEVICE=flex] benches/inference.sh [ROUNDS [STEPS [PEER_FLAGS]]]
set -eu
exec "$(dirname "$0")/step.sh" infer "$@"
