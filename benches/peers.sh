# Sourced by clean.sh and decode.sh, which name themselves and what they need first: `name`, `needs`.
# Sets: python (the peers' interpreter), rounds, work (a scratch folder, removed at the end), photos (a folder of
# JPEG files, made with photos.py and `shape` unless the second argument names one). Without PEERS nothing is timed.
here=$(dirname "$0")
python=${PEERS:+$(realpath "$PEERS/bin/python" --no-symlinks)}
rounds=${1:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$python" ]; then
    echo "$name: not timed (set PEERS to a Python environment with $needs)"
    exit 0
fi
photos=${2:-$work/photos}
# shellcheck disable=SC2086 # options
[ -d "$photos" ] || "$python" "$here/photos.py" "$photos" $shape ${DEBS:+--debs "$DEBS"}

# The example of peregrine-data called $1, built.
example() {
    ${CARGO:-cargo} build --quiet -p peregrine-data --example "$1"
    echo "${CARGO_TARGET_DIR:-target}/debug/examples/$1"
}
# The median, and the range, of the numbers in a file, in the printf format $2.
median() { sort -n "$1" | awk -v f="$2" '{ v[NR] = $1 } END { printf f, (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
spread() { sort -n "$1" | awk -v f="$2 .. $2" 'NR == 1 { low = $1 } { high = $1 } END { printf f, low, high }'; }
