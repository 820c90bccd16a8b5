"""Files of weights as torch 2.9, numpy and onnx write them, and pickles that attack, for crates/models.

    python tests/goldens/weights.py > tests/goldens/weights.json
"""
import base64, collections, io, json, os, pickle, struct, sys, types, zipfile
import numpy as np, onnx, torch
from onnx import TensorProto, helper, numpy_helper

torch.manual_seed(0)
W = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4 - 0.5
state = collections.OrderedDict(
    [("a.weight", W), ("a.bias", torch.tensor([0.25, -1.5])), ("a.num_batches_tracked", torch.tensor(7))])
EXPECT = {"a.weight": W.tolist(), "a.bias": [0.25, -1.5]}


def saved(value, **options):
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def legacy(value, **options):
    return saved(value, _use_new_zipfile_serialization=False, **options)


def onnx_model(**options):
    kept = [numpy_helper.from_array(W.numpy(), "a.weight"),
            helper.make_tensor("a.bias", TensorProto.FLOAT, [2], [0.25, -1.5])]
    node = helper.make_node("Gemm", ["x", "a.weight", "a.bias"], ["y"], transB=1)
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph([node], "g", [tensor("x", 1, [1, 3])], [tensor("y", 1, [1, 2])], kept)
    return helper.make_model(graph).SerializeToString()


def module():
    """A whole pickled module of a class that the reader does not have."""
    made = types.ModuleType("theirs")
    made.Net = type("Net", (torch.nn.Module,), {"__module__": "theirs"})
    sys.modules["theirs"] = made
    net = made.Net()
    net.a = torch.nn.Linear(3, 2)
    with torch.no_grad():
        net.a.weight.copy_(W)
        net.a.bias.copy_(torch.tensor([0.25, -1.5]))
    return net


sparse = torch.empty(3, 2)
sparse.copy_(W.t())
reads = {
    "zip": saved(state),
    "legacy": legacy(state),
    "zip_protocol_4": saved(state, pickle_protocol=4),
    "wrapped": saved({"epoch": 3, "state_dict": state, "best": 0.5, "optimizer": {"lr": [1e-3]}}),
    "wrapped_twice": saved({"model": {"state_dict": state}, "args": [1, "x", None, True]}),
    "parameters": saved(collections.OrderedDict((k, torch.nn.Parameter(v) if v.is_floating_point() else v) for k, v in state.items())),
    "transposed": saved({"a.weight": sparse.t(), "a.bias": state["a.bias"]}),
    "half": saved({k: v.half() for k, v in state.items()}),
    "bfloat16": saved({k: v.bfloat16() for k, v in state.items()}),
    "double": legacy({k: v.double() for k, v in state.items()}),
    "module": saved(module()),
    "module_legacy": legacy(module()),
    "pickle_of_tensors": pickle.dumps(state),
    "pickle_of_arrays_2": pickle.dumps({k: v.numpy() for k, v in state.items()}, protocol=2),
    "pickle_of_arrays_4": pickle.dumps({k: v.numpy() for k, v in state.items()}, protocol=4),
    "pickle_of_arrays_5": pickle.dumps({k: np.asfortranarray(v.numpy()) for k, v in state.items()}, protocol=5),
    "onnx": onnx_model(),
}


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


MARK = "/tmp/peregrine-was-here"
g = lambda name: b"c" + name.replace(" ", "\n").encode() + b"\n"
text = lambda s: b"X" + struct.pack("<I", len(s)) + s.encode()


def nested_zip():
    """A zip in a zip in a zip, each of a megabyte of zeros that deflates to nothing."""
    inner = b"\0" * 1_000_000
    for level in range(3):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("archive/data.pkl", inner)
            z.writestr("archive/data/0", inner)
        inner = out.getvalue()
    return inner


def overlapping_zip():
    """Two entries that share their bytes."""
    whole = bytearray(saved({"a": torch.zeros(64), "b": torch.ones(64)}))
    places = []
    at = whole.find(b"PK\x01\x02")
    while at >= 0:
        length = struct.unpack("<H", whole[at + 28:at + 30])[0]
        if b"/data/" in whole[at + 46:at + 46 + length]:
            places.append(at)
        at = whole.find(b"PK\x01\x02", at + 4)
    whole[places[1] + 42:places[1] + 46] = whole[places[0] + 42:places[0] + 46]
    return bytes(whole)


def memo_bomb():
    """30 lists, each of ten times the one before: 10^30 elements when written out."""
    out = b"\x80\x02]q\x00"
    for level in range(30):
        out += b"](" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 9 + b"eq" + bytes([level + 1])
    return out + b"}" + text("a") + b"h\x1es."


def dict_bomb():
    """The same of dictionaries, along which names would be made."""
    out = b"\x80\x02}" + text("w") + g("torch._utils _rebuild_tensor_v2") + b"Nsq\x00"
    for level in range(40):
        item = lambda key: text(key) + b"h" + bytes([level])
        out += b"}(" + item("a") + item("b") + b"uq" + bytes([level + 1])
    return out + b"."


hostile = {
    "os.system": pickle.dumps(Calls(os.system, f"touch {MARK}"), protocol=0),
    "builtins.eval": pickle.dumps({"state_dict": Calls(eval, f"open({MARK!r}, 'w')")}, protocol=4),
    "eval in a zip": saved({"a": Calls(eval, f"open({MARK!r}, 'w')")}),
    "subprocess in a stream": legacy({"a": Calls(exec, f"open({MARK!r}, 'w')")}),
    "a chain of reductions": b"\x80\x02" + g("__builtin__ getattr") + g("os path") + text("join") + b"\x86R" + text("x") + b"\x85R.",
    "a class that looks like torch": b"\x80\x02" + g("torch.serialization load") + text("/etc/passwd") + b"\x85R.",
    "an object of Popen": b"\x80\x02" + g("subprocess Popen") + b"]" + text("touch") + b"a\x85\x81.",
    "an object that is given a state": b"\x80\x02" + g("os._wrap_close") .replace(b"os._wrap_close", b"os\n_wrap_close") + b")\x81}" + text("cmd") + text("id") + b"sb.",
    "instances of protocol 0": b"(S'touch " + MARK.encode() + b"'\nios\nsystem\n.",
    "a memo bomb of lists": memo_bomb(),
    "a memo bomb of dictionaries": dict_bomb(),
    "a million lists": b"\x80\x02" + b"]" * 400_000 + b".",
    "nested zip bombs": nested_zip(),
    "overlapping entries": overlapping_zip(),
    "a stream in a stream in a stream": pickle.dumps(Calls(torch.storage._load_from_bytes, pickle.dumps(Calls(torch.storage._load_from_bytes, b"x")))),
    "a tensor of stride 0": pickle.dumps({"a": torch.zeros(1).expand(100_000_000)}),
}
script = io.BytesIO()
torch.jit.save(torch.jit.script(torch.nn.Linear(3, 2)), script)
others = {"a TorchScript archive": script.getvalue()}

# Position embeddings: 3x3 to 4x5 as torch interpolates.
grid = torch.arange(2 * 9, dtype=torch.float32).reshape(1, 2, 3, 3).sin()
bicubic = torch.nn.functional.interpolate(grid, size=(4, 5), mode="bicubic", align_corners=False)
packed = lambda data: base64.b64encode(data).decode() if len(data) < 20_000 else None
big = {k: v for k, v in hostile.items() if packed(v) is None}
assert set(big) == {"a million lists"}, set(big)
print(json.dumps({
    "torch": torch.__version__, "numpy": np.__version__, "onnx": onnx.__version__, "mark": MARK,
    "expected": EXPECT,
    "reads": {k: packed(v) for k, v in reads.items()},
    "hostile": {k: packed(v) for k, v in hostile.items() if k not in big},
    "others": {k: packed(v) for k, v in others.items()},
    "grid": grid.permute(0, 2, 3, 1).flatten().tolist(),
    "bicubic": bicubic.permute(0, 2, 3, 1).flatten().tolist(),
}, indent=0))
