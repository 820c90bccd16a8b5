"""Small Parquet tables of two images as pyarrow writes them, for the tests of `ingest` and as seeds of the fuzzer.

    python tests/goldens/data_parquet.py > tests/goldens/data_parquet.json
"""
import base64
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

table = pa.table({
    "path": ["a/1.png", "b/2.png"], "label": ["cat", "dog"], "split": ["train", None], "group": [7, 9],
    "w": [0.5, None], "thumbnail": [b"\x00\x01", b"\x02"], "box": [[1, 2], [3]],
})
ways = {
    "snappy": {}, "none": {"compression": "none"}, "zstd": {"compression": "zstd"},
    "plain": {"use_dictionary": False, "compression": "none"}, "pages 2.0": {"data_page_version": "2.0"},
}
files = []
for name, options in ways.items():
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    files.append({"name": name, "file": base64.b64encode(out.getvalue()).decode()})
print(json.dumps(files, indent=1))
