"""PyTorch's side of step.sh: one training step, or one forward pass of inference, eager.
step_peer.py [--infer] [--channels-last] [--bf16] [--onnx] [--threads N] MODEL WIDTH BATCH SIDE STEPS
MODEL is resnet18 (with a 3x3 stem where SIDE is below 64) or mobilenet_v2, as torchvision has them; WIDTH is the first
stage's channels of the ResNet. With --onnx it is ONNX Runtime's inference of the same model. Prints the median and the least of all but the first step in milliseconds, and the median of the
processor time of all threads."""
import argparse
import io
import time

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--infer", action="store_true")
parser.add_argument("--channels-last", action="store_true")
parser.add_argument("--bf16", action="store_true")
parser.add_argument("--onnx", action="store_true")
parser.add_argument("--threads", type=int, default=0)
parser.add_argument("model")
for name in ("width", "batch", "side", "steps"):
    parser.add_argument(name, type=int)
args = parser.parse_args()
if args.threads:
    torch.set_num_threads(args.threads)
torch.manual_seed(0)


def resnet18(width, small):
    """torchvision's, every width by the same factor (which it doesn't offer itself)."""
    model = torchvision.models.resnet18(num_classes=10)

    def conv(old, inputs, outputs):
        return nn.Conv2d(inputs, outputs, old.kernel_size, old.stride, old.padding, bias=False)

    def scale(channels):
        return channels * width // 64

    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                inputs = 3 if child.in_channels == 3 else scale(child.in_channels)
                setattr(parent, name, conv(child, inputs, scale(child.out_channels)))
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.BatchNorm2d(scale(child.num_features)))
    model.fc = nn.Linear(scale(512), 10)
    if small:
        model.conv1, model.maxpool = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.Identity()
    return model


if args.model == "resnet18":
    model = resnet18(args.width, args.side < 64)
else:
    model = torchvision.models.get_model(args.model, num_classes=10)
x, y = torch.randn(args.batch, 3, args.side, args.side), torch.arange(args.batch) % 10
if args.channels_last:
    model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
bf16 = torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16)


def infer():
    with torch.inference_mode(), bf16:
        model(x)


def train():
    optimizer.zero_grad()
    with bf16:
        loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    loss.item()


def onnx():
    """A pass of ONNX Runtime, the model exported by PyTorch."""
    import onnxruntime

    file = io.BytesIO()
    torch.onnx.export(model, (x,), file, input_names=["images"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    images = {"images": x.numpy()}
    return lambda: session.run(None, images)


model.train(not args.infer)
step = onnx() if args.onnx else infer if args.infer else train
times, work = [], []
for _ in range(args.steps + 1):
    start, busy = time.perf_counter(), time.process_time()
    step()
    times.append((time.perf_counter() - start) * 1e3)
    work.append((time.process_time() - busy) * 1e3)
times, work = sorted(times[1:]), sorted(work[1:])
middle = len(times) // 2
print(f"{'onnxruntime' if args.onnx else 'torch'}: median {times[middle]:.1f} ms, least {times[0]:.1f} ms, processor {work[middle]:.1f} ms")
