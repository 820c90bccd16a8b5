#!/bin/sh
# Reading, checking and planning a pipeline of 10,000 stages, nothing of which has run: `run --dry-run`, whole process.
#   PEREGRINE=target/debug/peregrine benches/plan_10k.sh [ROUNDS]
set -eu
peregrine=$(realpath "${PEREGRINE:-target/debug/peregrine}")
rounds=${1:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r data/traffic_lights/test "$work/images"
cd "$work"
export PEREGRINE_HOME="$work/home"

# Wide: 1 ingest and 9,999 stages below it. Deep: a chain of 10,000.
chain() {
    echo "name: plan"
    echo "stages:"
    echo "  s1: { kind: ingest, params: { source: { name: image_folder, root: images } } }"
    awk -v deep="$1" 'BEGIN {
        for (n = 2; n <= 10000; n++)
            printf "  s%d: { kind: clean, inputs: { manifest: s%d.manifest } }\n", n, deep ? n - 1 : 1
    }'
}
chain 0 >wide.yaml
chain 1 >deep.yaml
echo "checking and planning 10,000 stages, $rounds rounds, $(nproc) cores (under 1,000 ms is wanted):"
for shape in wide deep; do
    for _ in $(seq "$rounds"); do
        begun=$(date +%s%N)
        "$peregrine" run $shape.yaml --dry-run >output 2>&1 || { tail -n 20 output >&2; echo "error: \`$shape.yaml\` was refused" >&2; exit 1; }
        ended=$(date +%s%N)
        grep -q s10000 output || { echo "error: the plan of \`$shape.yaml\` lacks its last stage" >&2; exit 1; }
        echo $(((ended - begun) / 1000000))
    done >unsorted
    sort -n unsorted >times
    echo "  $shape  $(sed -n "$(((rounds + 1) / 2))p" times) ms ($(head -n 1 times) .. $(tail -n 1 times))"
done
