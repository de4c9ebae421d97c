#!/usr/bin/env python3
"""Writes tests/golden/kernels: parameters and moments after updates by torch.optim.AdamW.

Needs torch. A file is one line of JSON, {"arrays": [{"name", "dtype", "count"}...]}, then the
arrays' bytes.
"""

import json
import pathlib

import torch

COUNT = 1025
STEPS = 3


def write(path, arrays):
    header = {
        "arrays": [
            {"name": name, "dtype": str(array.dtype).removeprefix("torch."), "count": array.numel()}
            for name, array in arrays.items()
        ]
    }
    with open(path, "wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        for array in arrays.values():
            file.write(array.contiguous().numpy().tobytes())


def adamw(weight_decay):
    """Gradients of very different sizes: zero, tiny (eps matters) and large ones are among them."""
    generator = torch.Generator().manual_seed(1)
    parameter = torch.nn.Parameter(torch.randn(COUNT, generator=generator))
    arrays = {"initial": parameter.detach().clone()}
    optimizer = torch.optim.AdamW(
        [parameter], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay, foreach=False
    )
    scale = 10.0 ** torch.linspace(-12, 2, COUNT)
    scale[::7] = 0.0
    for step in range(STEPS):
        parameter.grad = torch.randn(COUNT, generator=generator) * scale
        arrays[f"grad_{step}"] = parameter.grad.clone()
        optimizer.step()
    state = optimizer.state[parameter]
    arrays["param"] = parameter.detach()
    arrays["m"] = state["exp_avg"]
    arrays["v"] = state["exp_avg_sq"]
    return arrays


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    write(folder / "adamw.bin", adamw(0.0))
    write(folder / "adamw_decay.bin", adamw(0.1))


if __name__ == "__main__":
    main()
