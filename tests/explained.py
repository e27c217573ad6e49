"""Networks and images for the tests of maps, and what shows whether a network was left as it was."""

import threading

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from core.explain import grad_cam


def pictures(n: int, size: int = 96, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Smooth random blobs in [0, 1]: maps of plain noise would be nearly constant."""
    coarse = torch.rand(n, channels, 6, 6, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


def torchvision_model(name: str) -> nn.Module:
    """Random weights, and batch norms as after training, so that each does something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = torchvision.models.get_model(name, weights=None, num_classes=10)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                with torch.no_grad():
                    module.bias.normal_(0, 0.1)
    return model.eval()


class Tiny(nn.Module):
    """Two maps, averaged, and a linear layer: Grad-CAM is its weights times its maps, over the number of places."""

    def __init__(self, classes=2):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(2, classes, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -2.0]).view(2, 1, 1, 1))
            self.fc.weight.copy_(torch.tensor([[3.0, 1.0], [-1.0, 0.5]])[:classes])

    def forward(self, images):
        return self.fc(self.drop(self.conv(images)).mean(dim=(2, 3)))


def trace(model: nn.Module) -> list:
    """Everything of a model, and around it, that a careless explanation could change."""
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()]
    return [hooks, [m.training for m in model.modules()], [b.clone() for b in model.buffers()],
            [(p.requires_grad, p.grad, p.detach().clone()) for p in model.parameters()],
            torch.get_rng_state(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()]


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def mixed(model: nn.Module) -> nn.Module:
    """As in the middle of fine-tuning: training, some batch norms held, some weights frozen, some with a gradient."""
    model.train()
    for i, module in enumerate(model.modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.training = bool(i % 2)
    for i, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(bool(i % 3))
        parameter.grad = torch.full_like(parameter, 0.5) if i % 3 == 1 else None
    return model


class Noisy(Tiny):
    def forward(self, images):
        return super().forward(images + 0 * torch.rand_like(images))


class Overheard(Tiny):
    """While this one is being explained, somebody else predicts with it in another thread."""

    def forward(self, images):
        logits = super().forward(images)
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=lambda: setattr(self, "heard", self(images[:1] * 0 + 1)))
            thread.start()
            thread.join()
        return logits


def with_positive_maps(model: nn.Module, images: torch.Tensor, layer: str) -> torch.Tensor:
    """For each image the class whose map is largest: with random weights some maps are zero everywhere."""
    classes = torch.arange(10)[:, None].expand(10, len(images))
    return torch.stack([grad_cam(model, images, c, layer).amax(dim=(1, 2)) for c in classes]).argmax(0)
