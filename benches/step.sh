#!/bin/sh
# A training step (forward, cross-entropy, backward, SGD with momentum), or with `infer` a forward pass in evaluation:
# Peregrine beside PyTorch eager, in turn, on the same cores.
#   PEERS=path/to/venv [DEVICE=flex] [FEATURES=tch] [THREADS=2] benches/step.sh [train|infer [ROUNDS [STEPS [PEER_FLAGS]]]]
# PEERS is a Python environment with torchvision; without it only our side is timed. A round is one process of each,
# of STEPS steps; reported are the medians over rounds of their medians of time and of processor time, the least step of
# all, and the ratios. On a busy machine one thread's processor time (THREADS=1) is what means most.
# PEER_FLAGS are flags of step_peer.py: --channels-last --onnx --bf16, the last one for both sides. LibTorch must be on LD_LIBRARY_PATH for DEVICE=libtorch.
set -eu
here=$(dirname "$0")
what=${1:-train}
rounds=${2:-3}
steps=${3:-6}
flags=${4:-}
device=${DEVICE:-flex}
python=${PEERS:+$(realpath "$PEERS/bin/python" --no-symlinks)}
threads=${THREADS:-$(nproc)}
export RAYON_NUM_THREADS="$threads" OMP_NUM_THREADS="$threads"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${CARGO:-cargo} build --quiet -p peregrine-models --example step ${FEATURES:+--features "$FEATURES"}
ours=${CARGO_TARGET_DIR:-target}/debug/examples/step

case $what in
train)
    infer=
    cases='resnet18 16 64 32
resnet18 64 64 32
mobilenet_v2 0 32 96'
    ;;
infer)
    infer="--infer"
    cases='resnet18 64 1 224
resnet18 64 32 224
mobilenet_v2 0 1 224
mobilenet_v2 0 32 224'
    ;;
*)
    echo "step: \`$what\` is neither train nor infer" >&2
    exit 2
    ;;
esac

bf16=
case " $flags " in *" --bf16 "*) bf16=--bf16 ;; esac

# The median of a column, and its least value.
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.1f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
least() { sort -n "$1" | head -n 1; }
numbers() { awk '{ for (i = 1; i < NF; i++) { if ($i == "median") m = $(i + 1); if ($i == "least") l = $(i + 1); if ($i == "processor") p = $(i + 1) } print m, l, p }'; }

echo "$what on $device, $threads threads on $(nproc) cores, $rounds rounds of $steps steps in turn, load $(cut -d ' ' -f 1 /proc/loadavg):"
echo "$cases" | while read -r model width batch side; do
    config="{\"name\": \"$model\"}"
    if [ "$width" -gt 0 ]; then
        stem=imagenet
        [ "$side" -ge 64 ] || stem=small
        config="{\"name\": \"$model\", \"width\": $width, \"stem\": \"$stem\"}"
    fi
    rm -f "$work"/a* "$work"/b*
    for _ in $(seq "$rounds"); do # A B A B ...
        # shellcheck disable=SC2086 # Nothing or a flag.
        "$ours" $infer $bf16 "$device" "$config" "$batch" "$side" "$steps" >"$work/out"
        numbers <"$work/out" >>"$work/a"
        if [ -n "$python" ]; then
            # shellcheck disable=SC2086 # Flags are several words.
            "$python" "$here/step_peer.py" $infer $flags --threads "$threads" "$model" "$width" "$batch" "$side" "$steps" >"$work/out"
            numbers <"$work/out" >>"$work/b"
        fi
    done
    for side_of in a b; do
        [ -f "$work/$side_of" ] || continue
        cut -d ' ' -f 1 "$work/$side_of" >"$work/$side_of.median"
        cut -d ' ' -f 2 "$work/$side_of" >"$work/$side_of.least"
        cut -d ' ' -f 3 "$work/$side_of" >"$work/$side_of.processor"
    done
    name="$model$([ "$width" -eq 0 ] || echo " of width $width"), batch $batch, side $side"
    if [ -f "$work/b" ]; then
        a=$(median "$work/a.median") && b=$(median "$work/b.median")
        p=$(least "$work/a.least") && q=$(least "$work/b.least")
        x=$(median "$work/a.processor") && y=$(median "$work/b.processor")
        awk -v name="$name" -v a="$a" -v b="$b" -v p="$p" -v q="$q" -v x="$x" -v y="$y" 'BEGIN {
            printf "  %s: %.1f ms, peer%s %.1f ms, ratio %.2f (least %.1f and %.1f, ratio %.2f; processor %.1f and %.1f, ratio %.2f)\n", name, a, flags, b, a / b, p, q, p / q, x, y, x / y }'
    else
        echo "  $name: $(median "$work/a.median") ms (least $(least "$work/a.least"))"
    fi
done
