#!/bin/sh
# The sample pipeline's three networks with five seeds of the trainings, on one split: test accuracy of each,
# mean and standard deviation. The other half of sample_peer.py.
#   sh tests/goldens/sample_seeds.sh [PEREGRINE] [run options, as --device libtorch] > tests/goldens/sample_seeds.json
set -eu
peregrine=${1:-target/debug/peregrine}; [ $# -eq 0 ] || shift
file=pipelines/sample.yaml
for seed in 1 2 3 4 5; do
    set_seed="--set stages.train_sample_cnn.seed=$seed --set stages.train_lenet5.seed=$seed --set stages.train_resnet.seed=$seed"
    # shellcheck disable=SC2086
    "$peregrine" run "$file" evaluate_ensemble evaluate_sample_cnn evaluate_lenet5 evaluate_resnet --quiet $set_seed "$@" >&2
    for network in sample_cnn lenet5 resnet ensemble; do
        # shellcheck disable=SC2086
        "$peregrine" show "$file" "evaluate_$network.metrics" --json $set_seed "$@" |
            python3 -c "import json,sys; print('$network', json.load(sys.stdin)['top1'])"
    done
done | python3 -c "
import json, statistics, sys
found = {}
for line in sys.stdin:
    name, top1 = line.split()
    found.setdefault(name, []).append(float(top1))
print(json.dumps({name: {'n': len(x), 'top1_mean': round(statistics.mean(x), 4), 'top1_std': round(statistics.stdev(x), 4), 'top1': x} for name, x in found.items()}, indent=1))"
