#!/usr/bin/env python3
"""Writes tests/golden/nf4: what bitsandbytes' CPU backend makes of hard inputs.

Needs torch and bitsandbytes (see requirements of the comparison scripts). One thread, so that the
mean behind double quantisation has one summation order.

A file is one line of JSON, {"arrays": [{"name", "dtype", "count"}...]}, then the arrays' bytes.
"""

import json
import os
import pathlib
import sys

# The plain path of dequantisation: compiling it takes a minute.
os.environ["TORCHDYNAMO_DISABLE"] = "1"

import torch
import bitsandbytes.functional as bnb

VALUES = bnb.get_4bit_type("nf4", device="cpu")


def normal(count, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator=generator) * scale


def near_thresholds():
    """Every threshold, one float below and one above, in blocks whose absmax is 1, 3 and 0.7."""
    middle = (VALUES[:-1] + VALUES[1:]) / 2
    down = torch.nextafter(middle, torch.tensor(-2.0))
    up = torch.nextafter(middle, torch.tensor(2.0))
    block = torch.cat([middle, down, up, VALUES, torch.tensor([0.0, -0.0, -1.0])])
    assert block.numel() == 64
    return torch.cat([block, block * 3, block * 0.7])


def inputs():
    yield "normal_f32", normal(64 * 32, 1)
    yield "normal_bf16", normal(64 * 32, 2).bfloat16()
    yield "normal_fp16", normal(64 * 24, 3).half()
    yield "weights_bf16", normal(64 * 32, 4, 0.02).bfloat16()
    yield "constant_f32", torch.cat([torch.full((128,), 0.3), torch.full((64,), -7.5)])
    yield "zero_f32", torch.zeros(128)
    yield "zero_bf16", torch.zeros(128).bfloat16()
    yield "mixed_zero_f32", torch.cat([normal(64, 5), torch.zeros(64), normal(64, 6)])
    yield "near_1e-38_f32", normal(64 * 8, 7, 1e-38)
    yield "denormal_f32", normal(64 * 8, 8, 1e-42)
    yield "denormal_bf16", normal(64 * 8, 9, 1e-39).bfloat16()
    yield "huge_f32", normal(64 * 8, 10).clamp(-1, 1) * 3e38
    yield "huge_bf16", (normal(64 * 8, 11).clamp(-1, 1) * 3e38).bfloat16()
    yield "thresholds_f32", near_thresholds()
    yield "infinite_f32", torch.cat([normal(63, 12), torch.tensor([float("inf")])])
    for count in (1, 31, 33, 63, 65, 127, 1025):
        yield f"tail_{count}_f32", normal(count, 100 + count)
        yield f"tail_{count}_bf16", normal(count, 200 + count).bfloat16()
    for scale in (0.37, 0.7, 3.3):  # full blocks multiply by a reciprocal, tails divide
        yield f"thresholds_tail_{scale}_f32", near_thresholds()[1:64] * scale
        yield f"thresholds_block_{scale}_f32", near_thresholds()[:64] * scale
    yield "zero_tail_f32", torch.cat([normal(64, 13), torch.zeros(7)])
    yield "tiny_tail_f32", torch.cat([normal(64, 14), normal(9, 15, 1e-39)])


def absmax_inputs():
    """Scales as weights give them, and spreads that stress the 8-bit map."""
    for count in (1, 2, 255, 256, 257, 1000, 4113):
        yield f"absmax_{count}", normal(count * 4, count).view(count, 4).abs().amax(1) * 0.02
    yield "absmax_wide", torch.exp(normal(1500, 20, 3.0))
    yield "absmax_equal", torch.full((300,), 0.125)
    yield "absmax_zero", torch.zeros(40)
    yield "absmax_long", (normal(40000, 21).abs() * 0.02 + 0.05).bfloat16().float()


def write(folder, name, arrays):
    header = []
    body = b""
    for key, tensor in arrays.items():
        flat = tensor.detach().reshape(-1).contiguous()
        dtype = str(flat.dtype).removeprefix("torch.")
        header.append({"name": key, "dtype": dtype, "count": flat.numel()})
        body += flat.view(torch.uint8).numpy().tobytes()
    (folder / f"{name}.bin").write_bytes(json.dumps({"arrays": header}).encode() + b"\n" + body)


def quantize_case(x):
    codes, state = bnb.quantize_4bit(x, quant_type="nf4", blocksize=64)
    arrays = {"x": x, "codes": codes, "absmax": state.absmax}
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        state.dtype = dtype
        values = bnb.dequantize_4bit(codes, state).reshape(-1)[: x.numel()]
        arrays[f"values_{str(dtype).removeprefix('torch.')}"] = values
    return arrays


def absmax_case(absmax):
    """The three lines that bnb.quantize_4bit runs on the scales."""
    offset = absmax.mean()
    codes, state = bnb.quantize_blockwise(absmax - offset, blocksize=256)
    restored = bnb.dequantize_blockwise(codes, state) + offset
    stored = absmax.bfloat16() if torch.equal(absmax.bfloat16().float(), absmax) else absmax
    return {
        "absmax": stored,
        "codes": codes,
        "nested_absmax": state.absmax,
        "offset": offset,
        "restored": restored[:1000],
    }


def nested_case():
    x = normal(64 * 300, 30, 0.02).bfloat16()
    codes, state = bnb.quantize_4bit(x, quant_type="nf4", blocksize=64, compress_statistics=True)
    return {
        "x": x,
        "codes": codes,
        "absmax_codes": state.absmax,
        "nested_absmax": state.state2.absmax,
        "nested_map": state.state2.code,
        "offset": state.offset,
        "values_bfloat16": bnb.dequantize_4bit(codes, state).reshape(-1),
    }


def main():
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/nf4")
    folder.mkdir(parents=True, exist_ok=True)
    for name, x in inputs():
        write(folder, name, quantize_case(x))
    for name, absmax in absmax_inputs():
        write(folder, name, absmax_case(absmax))
    write(folder, "nested", nested_case())


if __name__ == "__main__":
    main()
