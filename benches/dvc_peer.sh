#!/bin/sh
# A run with nothing to do on a chain of 20 stages: `peregrine run` beside `dvc repro`, whole processes, in turn.
#   PEREGRINE=target/debug/peregrine PEERS=path/to/venv benches/dvc_peer.sh [ROUNDS]
# PEERS is a Python environment with `dvc` installed; without it only Peregrine is timed.
set -eu
peregrine=$(realpath "${PEREGRINE:-target/debug/peregrine}")
dvc=${PEERS:+$(realpath "$PEERS/bin/dvc")}
rounds=${1:-10}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

milliseconds() { # of one run of the command
    begun=$(date +%s%N)
    "$@" >"$work/output" 2>&1 || { cat "$work/output" >&2; echo "error: \`$*\` failed" >&2; exit 1; }
    ended=$(date +%s%N)
    echo $(((ended - begun) / 1000))
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.2f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2000 }'; }
spread() { sort -n "$1" | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.2f .. %.2f ms", low / 1000, high / 1000 }'; }

# Peregrine's chain: ingest, then 19 stages that each read the manifest of the one before.
mkdir -p "$work/peregrine"
cp -r data/traffic_lights/test "$work/peregrine/images"
{
    echo "name: chain"
    echo "stages:"
    echo "  s1: { kind: ingest, params: { source: { name: image_folder, root: images } } }"
    for n in $(seq 2 20); do
        echo "  s$n: { kind: clean, inputs: { manifest: s$((n - 1)).manifest } }"
    done
} >"$work/peregrine/chain.yaml"
in_peregrine() { (cd "$work/peregrine" && PEREGRINE_HOME="$work/peregrine/home" "$peregrine" run chain.yaml --quiet); }
in_peregrine || { echo "error: the chain did not run" >&2; exit 1; }
(cd "$work/peregrine" && PEREGRINE_HOME="$work/peregrine/home" "$peregrine" run chain.yaml --json) |
    tail -n 1 | grep -q '"cached":20' || { echo "error: the second run had something to do" >&2; exit 1; }

# DVC's chain: 20 stages that copy a file.
if [ -n "$dvc" ]; then
    mkdir -p "$work/dvc"
    (
        cd "$work/dvc"
        export DVC_NO_ANALYTICS=1
        "$dvc" init --no-scm --quiet
        "$dvc" config core.check_update false
        "$dvc" config core.analytics false
        echo start >f0
        {
            echo "stages:"
            for n in $(seq 1 20); do
                printf '  s%s:\n    cmd: cp f%s f%s\n    deps: [f%s]\n    outs: [f%s]\n' \
                    "$n" $((n - 1)) "$n" $((n - 1)) "$n"
            done
        } >dvc.yaml
        "$dvc" repro --quiet
    )
fi
in_dvc() { (cd "$work/dvc" && DVC_NO_ANALYTICS=1 "$dvc" repro --quiet); }

for _ in $(seq "$rounds"); do # A B A B ...
    milliseconds in_peregrine >>"$work/a"
    if [ -n "$dvc" ]; then milliseconds in_dvc >>"$work/b"; fi
done
echo "nothing to do, 20 stages, $rounds rounds in turn, $(nproc) cores, median (range):"
echo "  peregrine run  $(median "$work/a") ms ($(spread "$work/a"))"
if [ -n "$dvc" ]; then
    echo "  dvc repro      $(median "$work/b") ms ($(spread "$work/b")), dvc $("$dvc" --version)"
    awk -v a="$(median "$work/a")" -v b="$(median "$work/b")" 'BEGIN { printf "  ratio          1/%.0f (at most 1/40 is wanted)\n", b / a }'
else
    echo "  dvc repro      not timed (set PEERS to a Python environment with dvc)"
fi
