#!/bin/sh
# Writes what a pipeline measures now as the baseline that its regression stage holds it to.
#   PEREGRINE=target/debug/peregrine scripts/baseline.sh pipelines/sample.yaml [STAGE ...]
# The baseline is tests/baselines/<name of the pipeline file>.json. The stages are those that it holds already;
# name them for a new one. Only what the stages need is run, so a gate that says no doesn't stand in the way.
set -eu
peregrine=${PEREGRINE:-target/debug/peregrine}
pipeline=${1:?which pipeline file}
shift
baseline=tests/baselines/$(basename "$pipeline" .yaml).json
example="${CARGO:-cargo} run --quiet -p peregrine-report --example baseline --"

mkdir -p "$(dirname "$baseline")"
[ -f "$baseline" ] || echo '{}' >"$baseline"
# shellcheck disable=SC2046,SC2086 # names of stages and options are words
[ $# -gt 0 ] || set -- $($example stages "$baseline")
[ $# -gt 0 ] || {
    echo "error: \`$baseline\` holds no stage (name those that evaluate: make baseline STAGE=\"evaluate_a evaluate_b\")" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086
"$peregrine" run "$pipeline" "$@" ${DEVICE:-}
pairs=
for stage in "$@"; do
    # shellcheck disable=SC2086
    "$peregrine" show "$pipeline" "$stage.metrics" --json ${DEVICE:-} >"$work/$stage.json"
    pairs="$pairs $stage=$work/$stage.json"
done
# shellcheck disable=SC2086
$example write "$baseline" $pairs
echo "wrote $baseline"
