#!/usr/bin/env python3
"""Writes tests/golden/model/<family>/: tiny random models of every family with transformers' numbers for them.

Each folder is a Hugging Face model folder (fp32) with an adapter/ made by PEFT, and golden.safetensors: the ids of two
documents, the logits of both, and for the mean loss over both together its value and the gradient of every adapter
tensor; with "nf4." and "nf4_double." in front the same on a base that bitsandbytes quantised.
Run with the environment of scripts/compare_peft: .deps/reference/bin/python scripts/make_model_golden.py
"""
import json
import pathlib
import shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/model"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHAPE = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}
FAMILIES = {
    "llama": ("llama", {"rope_parameters": LLAMA3, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("mistral", {"head_dim": 16, "sliding_window": None,
                            "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}}),
    "qwen2": ("qwen2", {"rope_parameters": YARN, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"head_dim": 16}),
}


def randomize(model):
    """Norm weights and biases away from 1 and 0, so that leaving one out shows."""
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.2)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.2)
        elif parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.1)


def run(model, documents, golden, prefix):
    total = sum(len(ids) - 1 for ids in documents)
    loss_sum = 0.0
    for number, ids in enumerate(documents):
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        golden[f"{prefix}logits.{number}"] = logits.detach().clone()
        loss_sum = loss_sum + torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="sum")
    loss = loss_sum / total
    loss.backward()
    golden[f"{prefix}loss"] = loss.detach().clone().reshape(1)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            golden[f"{prefix}grad.{name.replace('.default', '').removeprefix('base_model.model.')}"] = parameter.grad.clone()


def make(family, model_type, options):
    folder = GOLDEN / family
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(sum(map(ord, family)))
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **SHAPE, **options))
    randomize(model)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    generator = torch.Generator().manual_seed(3)
    documents = [torch.randint(0, SHAPE["vocab_size"], (length,), generator=generator).tolist() for length in (7, 45)]
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    adapted.save_pretrained(folder / "adapter")
    (folder / "adapter/README.md").unlink(missing_ok=True)
    golden = {f"ids.{number}": torch.tensor(ids, dtype=torch.int32) for number, ids in enumerate(documents)}
    run(adapted, documents, golden, "")
    for prefix, double in (("nf4.", False), ("nf4_double.", True)):
        quantized = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, device_map={"": "cpu"},
            quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                                   bnb_4bit_compute_dtype=torch.float32,
                                                   bnb_4bit_use_double_quant=double))
        for parameter in quantized.parameters():
            parameter.requires_grad_(False)
        run(PeftModel.from_pretrained(quantized, folder / "adapter", is_trainable=True), documents, golden, prefix)
    save_file({name: tensor.contiguous() for name, tensor in golden.items()}, folder / "golden.safetensors")


def main():
    for family, (model_type, options) in FAMILIES.items():
        make(family, model_type, options)
        config = json.loads((GOLDEN / family / "config.json").read_text())
        print(family, config["architectures"])


if __name__ == "__main__":
    main()
