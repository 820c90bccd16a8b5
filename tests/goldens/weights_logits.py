"""Real photographs and torchvision's logits on them, for the ignored test of crates/models/tests/weights_files.rs.

    python tests/goldens/weights_logits.py FOLDER

FOLDER holds `resnet18.safetensors` and `mobilenet_v2.safetensors` (ImageNet, torchvision's names). Writes
`photos.u8` [n, 3, 224, 224] (squashed by Pillow, bilinear) and `MODEL.logits.f32` [n, 1000] beside them.
"""
import os, sys
import numpy as np, skimage, sklearn.datasets, torch, torchvision
from PIL import Image
from safetensors.torch import load_file

folder = sys.argv[1]
photos = list(sklearn.datasets.load_sample_images().images)
there = os.path.join(os.path.dirname(skimage.__file__), "data")
for name in ["astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "hubble_deep_field.jpg", "retina.jpg"]:
    photos.append(np.array(Image.open(os.path.join(there, name)).convert("RGB")))
photos = [np.array(Image.fromarray(p).resize((224, 224), Image.BILINEAR)).transpose(2, 0, 1) for p in photos]
photos = np.stack(photos)
photos.tofile(os.path.join(folder, "photos.u8"))
mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
x = (torch.tensor(photos).float() / 255 - mean) / std
for name in ["resnet18", "mobilenet_v2"]:
    net = getattr(torchvision.models, name)().eval()
    net.load_state_dict(load_file(os.path.join(folder, f"{name}.safetensors")))
    with torch.no_grad():
        logits = net(x).numpy()
    print(name, logits.shape, np.abs(logits).max(), logits.argmax(1))
    logits.tofile(os.path.join(folder, f"{name}.logits.f32"))
