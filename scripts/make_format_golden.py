#!/usr/bin/env python3
"""Makes tests/golden/format: files written by the reference libraries, for tests/format.

  all_dtypes.safetensors   one small tensor of most types, by safetensors
  adapter/                 a LoRA adapter of a tiny random Llama, by PEFT; checksums.json has the sum
                           of every tensor
  bnb/, bnb_double/        the same Llama in NF4, by transformers and bitsandbytes; checksums.json
                           has, for every 4-bit weight, the sum of its first row dequantised
  configs/                 config.json of each family in the v5 dialect, by transformers

Needs torch, transformers, peft, bitsandbytes and safetensors (a CPU is enough):
  python scripts/make_format_golden.py
Random values are seeded, so a second run writes the same tensors.
"""

import json
import pathlib
import shutil

import torch
from bitsandbytes.functional import dequantize_4bit
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "format"

TINY = dict(
    vocab_size=32,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=1,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
)

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def make_all_dtypes():
    names = ["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
    names += ["float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"]
    tensors = {name: torch.arange(6).reshape(2, 3).to(getattr(torch, name)) for name in names}
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 4)
    save_file(tensors, GOLDEN / "all_dtypes.safetensors", metadata={"format": "pt"})


def make_adapter(model):
    config = LoraConfig(
        r=4,
        lora_alpha=8,
        lora_dropout=0.05,
        use_rslora=True,
        target_modules=["q_proj", "down_proj"],
        task_type="CAUSAL_LM",
    )
    peft_model = get_peft_model(model, config)
    for name, parameter in peft_model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter)
    folder = GOLDEN / "adapter"
    peft_model.save_pretrained(folder)
    (folder / "README.md").unlink()
    tensors = load_file(folder / "adapter_model.safetensors")
    sums = {name: tensor.double().sum().item() for name, tensor in tensors.items()}
    write_json(folder / "checksums.json", sums)


def make_bnb(source, name, double_quant):
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = AutoModelForCausalLM.from_pretrained(
        source, quantization_config=quantization, dtype=torch.bfloat16
    )
    folder = GOLDEN / name
    model.save_pretrained(folder)
    sums = {}
    for module_name, module in model.named_modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None:
            weight = dequantize_4bit(module.weight.data, state)
            sums[module_name + ".weight"] = weight[0].double().sum().item()
    assert len(sums) == 7, sums
    write_json(folder / "checksums.json", sums)


def make_configs():
    configs = {
        "llama": (LlamaConfig, dict(rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True)),
        "mistral": (MistralConfig, dict(head_dim=32, sliding_window=None)),
        "qwen2": (Qwen2Config, dict(use_sliding_window=True, max_window_layers=1)),
        "qwen3": (Qwen3Config, dict(head_dim=32)),
    }
    for name, (config_class, arguments) in configs.items():
        config = config_class(**TINY, **arguments)
        config.architectures = [config_class.__name__.replace("Config", "ForCausalLM")]
        config.dtype = "bfloat16"
        (GOLDEN / "configs").mkdir(exist_ok=True)
        config.to_json_file(GOLDEN / "configs" / f"{name}.json")


def main():
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir(parents=True)
    torch.manual_seed(1)
    make_all_dtypes()
    make_configs()
    model = LlamaForCausalLM(LlamaConfig(**TINY)).to(torch.bfloat16)
    source = GOLDEN / "dense"
    model.save_pretrained(source)
    make_bnb(source, "bnb", double_quant=False)
    make_bnb(source, "bnb_double", double_quant=True)
    shutil.rmtree(source)
    make_adapter(model)


if __name__ == "__main__":
    main()
