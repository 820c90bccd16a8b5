#!/bin/sh
# Copies the sample with 20 % of its training labels wrong, and holds the pipeline to fail on it: a gate that never
# says no holds nothing. The splits stay the same, because an image's content decides its split.
#   PEREGRINE=target/debug/peregrine scripts/flip-labels.sh [run options, as --device libtorch]
set -eu
peregrine=${PEREGRINE:-target/debug/peregrine}
file=pipelines/sample.yaml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
"$peregrine" run "$file" split --quiet "$@"
cp -r data/sample "$work/sample"
# Every fifth training image goes to the class behind its own in the alphabet.
"$peregrine" show "$file" split.train --csv "$@" | awk -F, -v root="$work/sample" '
    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    { class = $column["class"]; if (!(class in seen)) { seen[class] = 1; classes[++n] = class }
      row[++rows] = $column["id"]; label[rows] = class }
    END {
        for (i = 1; i <= n; i++) next_of[classes[i]] = classes[i % n + 1]
        for (i = 1; i <= rows; i += 5) {
            name = row[i]; gsub("/", "_", name)
            print "mv " root "/" row[i] " " root "/" next_of[label[i]] "/flipped_" name
        }
    }' > "$work/moves"
sh "$work/moves"
echo "flipped $(wc -l < "$work/moves") training labels"
status=0
PEREGRINE_HOME="$work/home" "$peregrine" run "$file" --quiet --keep-going \
    --set "stages.ingest.params.source.root=$work/sample" "$@" || status=$?
if [ "$status" -ne 3 ]; then
    echo "error: with a fifth of the labels wrong the run ended with $status, not 3: the gate holds nothing" >&2
    exit 1
fi
echo 'the gate said no, as it must'
