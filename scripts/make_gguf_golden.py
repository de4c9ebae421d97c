#!/usr/bin/env python3
"""Writes tests/golden/gguf: GGUF files of every tensor and value type, and their floats.

Needs the gguf package (llama.cpp's own reader and writer). all_types.gguf has one tensor of each
type that rung reads, each of the rows in ROWS, and a key of each value type; golden.bin has what
gguf-py dequantises them to, in the format of tests/support/golden_arrays.h. q5_0.gguf has a type
that rung refuses.
"""

import json
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFValueType as V

ROW = 64
QUANTISED = [T.Q4_0, T.Q4_1, T.Q8_0]


def rows():
    """Normal values, constants, zeros, large and tiny ones; all finite in float16."""
    random = np.random.default_rng(1)
    yield random.standard_normal(ROW)
    yield random.standard_normal(ROW) * 0.02
    yield np.full(ROW, 0.3)
    yield np.zeros(ROW)
    yield np.linspace(-60000, 60000, ROW)
    yield random.standard_normal(ROW) * 1e-6
    yield np.where(np.arange(ROW) == 5, -7.0, 0.0)


def random_blocks(qtype):
    """Any bytes, as quantisers do not make them: every code, odd scales; infinity and NaN too."""
    random = np.random.default_rng(int(qtype))
    block_bytes = gguf.GGML_QUANT_SIZES[qtype][1]
    blocks = random.integers(0, 256, (4, ROW // 32 * block_bytes), dtype=np.uint8)
    blocks[0, :2] = [0x00, 0x7C]  # scale: infinity
    blocks[1, :2] = [0x01, 0x7E]  # scale: NaN
    blocks[2, :2] = [0x01, 0x80]  # scale: the smallest negative subnormal
    return blocks


def add_values(writer):
    for value_type, value in [
        (V.UINT8, 200), (V.INT8, -100), (V.UINT16, 60000), (V.INT16, -30000),
        (V.UINT32, 4000000000), (V.INT32, -2000000000), (V.FLOAT32, 1e-5), (V.BOOL, True),
        (V.STRING, "grün"), (V.UINT64, 1 << 63), (V.INT64, -(1 << 62)), (V.FLOAT64, 0.1),
    ]:
        writer.add_key_value(f"test.{value_type.name.lower()}", value, value_type)
    for value_type, values in [
        (V.UINT8, [1, 255]), (V.INT8, [-1, 2]), (V.UINT16, [3, 65535]), (V.INT16, [-3, 4]),
        (V.UINT32, [5, 6]), (V.INT32, [-5, 6]), (V.FLOAT32, [0.5, -0.25]), (V.BOOL, [True, False]),
        (V.STRING, ["a", "", "ß"]), (V.UINT64, [7]), (V.INT64, [-7]), (V.FLOAT64, [0.125]),
    ]:
        writer.add_key_value(f"test.array.{value_type.name.lower()}", values, V.ARRAY, value_type)


def stored_tensors():
    values = np.stack([row.astype(np.float32) for row in rows()])
    yield "f32", T.F32, values
    yield "f16", T.F16, values.astype(np.float16)
    for qtype in [T.BF16, *QUANTISED]:
        yield qtype.name.lower(), qtype, gguf.quantize(values, qtype)
    for qtype in QUANTISED:
        yield f"{qtype.name.lower()}_bytes", qtype, random_blocks(qtype)
    every_half = np.arange(65536, dtype=np.uint16).view(np.float16).reshape(-1, ROW)
    yield "every_half", T.F16, every_half


def write_golden(path, arrays):
    header = [{"name": name, "dtype": "float32", "count": int(values.size)} for name, values in arrays]
    with open(path, "wb") as file:
        file.write(json.dumps({"arrays": header}).encode() + b"\n")
        for _, values in arrays:
            file.write(values.astype("<f4").tobytes())


def write_file(path, tensors, with_values):
    writer = gguf.GGUFWriter(path, "test")
    if with_values:
        add_values(writer)
    for name, qtype, stored in tensors:
        writer.add_tensor(name, stored, raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/gguf")
    out.mkdir(parents=True, exist_ok=True)
    tensors = list(stored_tensors())
    write_file(out / "all_types.gguf", tensors, with_values=True)
    write_golden(out / "golden.bin",
                 [(name, gguf.dequantize(stored, qtype)) for name, qtype, stored in tensors])
    refused = gguf.quantize(np.ones((2, ROW), dtype=np.float32), T.Q5_0)
    write_file(out / "q5_0.gguf", [("blk.0.attn_q.weight", T.Q5_0, refused)], with_values=False)


if __name__ == "__main__":
    main()
