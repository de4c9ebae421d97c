"""Parity and speed of rung against transformers + PEFT + bitsandbytes; called by scripts/compare_peft.

Both sides start from one adapter (written by PEFT, read by rung through lora_model_dir) and see the same rows of token
ids. Gradients of rung's first two steps are read from its checkpoints: after AdamW's first step from zero the first
moment is (1 - beta1) * g1, after the second beta1 * m1 + (1 - beta1) * g2.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/smollm2-135m-instruct"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BETA1 = 0.9
RATE = 2e-4
BASES = ("dense", "nf4", "nf4-double")


def make_rows(path, rows, length):
    """Writes rows of exactly `length` token ids; every label is learnt."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    text = "\n".join(
        message["content"]
        for line in (ROOT / "configs/demo_data/train.jsonl").read_text(encoding="utf-8").splitlines()
        for message in json.loads(line)["messages"])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    while len(ids) < rows * length:
        ids = ids + ids
    with open(path, "w", encoding="utf-8") as file:
        for row in range(rows):
            file.write(json.dumps({"input_ids": ids[row * length:(row + 1) * length]}) + "\n")
    return [ids[row * length:(row + 1) * length] for row in range(rows)]


def load_base(base, dtype):
    options = {"dtype": dtype, "attn_implementation": "sdpa"}
    if base != "dense":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype,
            bnb_4bit_use_double_quant=base == "nf4-double")
        options["device_map"] = {"": "cpu"}
    model = AutoModelForCausalLM.from_pretrained(MODEL, **options)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def make_adapter(path):
    """A PEFT adapter whose B is small but not zero, so that every gradient of the first step is."""
    torch.manual_seed(7)
    model = get_peft_model(load_base("dense", torch.float32),
                           LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS, task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    model.save_pretrained(path)


class WideProduct(torch.autograd.Function):
    """a b' of bf16 matrices: multiplied and added in fp32, rounded once, in both directions."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return (a.float() @ b.float().mT).bfloat16()

    @staticmethod
    def backward(ctx, grad):
        a, b = ctx.saved_tensors
        wide = grad.float()
        rows = wide.reshape(-1, wide.shape[-1]).mT
        return ((wide @ b.float()).bfloat16() if ctx.needs_input_grad[0] else None,
                (rows @ a.float().reshape(-1, a.shape[-1])).bfloat16() if ctx.needs_input_grad[1] else None)


def widen_bf16_products():
    """On a CPU without AVX512-bf16 torch multiplies bf16 matrices at 1 to 17 GFLOP/s; a hundred steps would take hours.
    A product in fp32 that is rounded once is what a bf16 GEMM with fp32 accumulation gives, sums in another order."""
    linear, matmul = torch.nn.functional.linear, torch.matmul

    def cast(*tensors):
        if torch.is_autocast_enabled("cpu"):
            return tuple(tensor.bfloat16() for tensor in tensors)
        return tensors

    def wide_linear(x, weight, bias=None):
        x, weight = cast(x, weight)
        if x.dtype != torch.bfloat16:
            return linear(x, weight, bias)
        with torch.autocast("cpu", enabled=False):
            y = WideProduct.apply(x, weight)
            return y if bias is None else y + bias.bfloat16()

    def wide_matmul(a, b, **options):
        if a.dtype != torch.bfloat16 or b.dim() != 2 or options:
            return matmul(a, b, **options)
        with torch.autocast("cpu", enabled=False):
            return WideProduct.apply(a, b.mT)

    torch.nn.functional.linear, torch.matmul = wide_linear, wide_matmul


def exact_loss(logits, ids):
    """Cross-entropy in double. torch's fp32 one over 49,152 classes is off by 3e-6, always to the same side, and its
    gradient by up to 3e-4 of a tensor's norm (against the whole model in double); that would hide what is compared."""
    logits = logits.double()
    return torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))


def train_reference(base, dtype, adapter, rows, batch, steps, checkpointing=False, exact=True):
    """Returns losses, gradient norms, and the gradients by tensor of the first two steps."""
    model = PeftModel.from_pretrained(load_base(base, dtype), adapter, is_trainable=True)
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trainable.values(), lr=RATE, weight_decay=0.0)
    losses, norms, gradients, seconds = [], [], [], []
    for step in range(steps):
        start = time.monotonic()
        ids = torch.tensor([rows[(step * batch + i) % len(rows)] for i in range(batch)])
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = exact_loss(model(input_ids=ids).logits, ids) if exact else model(input_ids=ids, labels=ids).loss
        loss.backward()
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in trainable.values()]).item())
        if step < 2:
            gradients.append({name: p.grad.float().clone() for name, p in trainable.items()})
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.monotonic() - start)
    return {"losses": losses, "norms": norms, "gradients": gradients, "seconds": seconds}


def rung_config(base, dtype, adapter, rows, batch, steps, out, checkpointing):
    return {
        "base_model": str(MODEL), "adapter": "lora" if base == "dense" else "qlora",
        "bnb_4bit_use_double_quant": base == "nf4-double", "lora_model_dir": str(adapter),
        "datasets": [{"path": str(rows), "type": "tokenized"}], "sequence_len": 4096, "shuffle": False,
        "micro_batch_size": batch, "max_steps": steps, "learning_rate": RATE, "lr_scheduler": "constant",
        "max_grad_norm": 0.0, "device": "cpu", "compute_dtype": "fp32" if dtype == torch.float32 else "bf16",
        "gradient_checkpointing": checkpointing, "save_steps": 1 if steps <= 20 else 0, "save_total_limit": 100,
        "output_dir": str(out),
    }


def train_rung(work, base, dtype, adapter, rows_file, batch, steps, checkpointing=False):
    out = work / f"rung-{base}"
    shutil.rmtree(out, ignore_errors=True)
    config = work / "config.yaml"
    config.write_text(json.dumps(rung_config(base, dtype, adapter, rows_file, batch, steps, out, checkpointing)))
    subprocess.run([ROOT / "build/rung", "train", config], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL if not os.environ.get("RUNG_VERBOSE") else None)
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    metrics = [row for row in metrics if row["kind"] == "train"]
    result = {"losses": [row["loss"] for row in metrics], "norms": [row["grad_norm"] for row in metrics],
              "seconds": [row["seconds"] for row in metrics], "out": out,
              "run": json.loads((out / "run.json").read_text()), "gradients": []}
    if (out / "checkpoints/step-000002").exists():
        first = rung_moments(out / "checkpoints/step-000001")
        second = rung_moments(out / "checkpoints/step-000002")
        result["gradients"] = [{name: m / (1 - BETA1) for name, m in first.items()},
                               {name: (m - BETA1 * first[name]) / (1 - BETA1) for name, m in second.items()}]
    return result


def rung_moments(checkpoint):
    """First moments by PEFT's parameter name."""
    prefix = "first_moment."
    return {"base_model.model." + name[len(prefix):].replace(".lora_A.", ".lora_A.default.")
            .replace(".lora_B.", ".lora_B.default."): tensor.double()
            for name, tensor in load_file(checkpoint / "optimizer.safetensors").items() if name.startswith(prefix)}


def relative(a, b):
    return abs(a - b) / max(abs(b), 1e-12)


def worst_gradient(ours, theirs):
    worst, where = 0.0, ""
    for name, reference in theirs.items():
        difference = (ours[name].double() - reference.double()).norm() / max(reference.double().norm().item(), 1e-12)
        if difference > worst:
            worst, where = difference.item(), name
    return worst, where


class Report:
    """Prints figures beside their bars and remembers whether all held."""

    def __init__(self):
        self.failed = 0

    def check(self, what, got, bar):
        held = got <= bar
        self.failed += not held
        print(f"  {'ok  ' if held else 'FAIL'} {what}: {got:.2e} (bar {bar:.0e})", flush=True)


def compare_training(report, work, base, dtype, adapter, batch, length, steps):
    name = "fp32" if dtype == torch.float32 else "bf16"
    print(f"\n== {base}, {name}, {steps} steps of {batch} x {length} tokens")
    rows_file = work / "rows.jsonl"
    rows = make_rows(rows_file, batch * steps, length)
    theirs = train_reference(base, dtype, adapter, rows, batch, steps)
    ours = train_rung(work, base, dtype, adapter, rows_file, batch, steps)
    print("  step   loss rung      loss HF    norm rung      norm HF")
    for step in range(steps):
        if step < 5 or step == steps - 1 or step % 20 == 19:
            print(f"  {step + 1:4d} {ours['losses'][step]:11.6f}  {theirs['losses'][step]:11.6f}"
                  f"  {ours['norms'][step]:11.6f}  {theirs['norms'][step]:11.6f}")
    loss = [relative(a, b) for a, b in zip(ours["losses"], theirs["losses"])]
    norm = [relative(a, b) for a, b in zip(ours["norms"], theirs["norms"])]
    if dtype == torch.float32:
        report.check("loss, first 5 steps, relative", max(loss[:5]), 1e-5)
        report.check("gradient norm, first 5 steps, relative", max(norm[:5]), 1e-4)
        report.check("loss, all steps, relative", max(loss), 1e-4)
        for step, gradients in enumerate(ours["gradients"]):
            worst, where = worst_gradient(gradients, theirs["gradients"][step])
            report.check(f"gradient by tensor, step {step + 1}, worst relative L2 ({where})", worst, 1e-3)
    else:
        report.check("loss, relative", max(loss), 1e-2)
        last = max(1, steps // 5)
        worse = statistics.mean(ours["losses"][-last:]) - statistics.mean(theirs["losses"][-last:])
        report.check("mean loss of the last fifth, rung - HF", worse, 1e-2)
    return ours["out"]


def compare_adapter(report, work, out):
    """The trained adapter in PEFT, and its merge: same logits, same weights."""
    print("\n== adapter and merge")
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    ids = torch.tensor([tokenizer("Write the ticket for this e-mail. My parcel never came.")["input_ids"]])
    base = load_base("dense", torch.float32)
    peft = PeftModel.from_pretrained(base, out)
    saved = {name for name in load_file(out / "adapter_model.safetensors")}
    expected = {name.replace(".default", "") for name in peft.state_dict() if "lora_" in name}
    report.check("missing or unexpected keys", len(saved ^ expected), 0)
    with torch.no_grad():
        logits = peft(input_ids=ids).logits
    for dtype in ("fp32", "bf16"):
        target = work / f"merged-{dtype}"
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run([ROOT / "build/rung", "merge", MODEL, "--adapter", out, "--out", target, "--dtype", dtype],
                       check=True, stdout=subprocess.DEVNULL)
        if dtype == "fp32":
            merged = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)
            with torch.no_grad():
                difference = (merged(input_ids=ids).logits - logits).abs().max() / logits.abs().max()
            report.check("merged fp32 logits against PEFT, of the largest", difference.item(), 2e-5)
    reference = peft.merge_and_unload().state_dict()
    ours = load_file(work / "merged-bf16/model.safetensors")
    ulps = 0
    for name, tensor in ours.items():
        a = tensor.view(torch.int16).int()
        b = reference[name].to(torch.bfloat16).view(torch.int16).int()
        ulps = max(ulps, (a - b).abs().max().item())
    report.check("merged bf16 against PEFT's fp32 merge rounded once, units in the last place", ulps, 1)


def process_peak(function, *arguments):
    """Runs a function in a child process; returns its result and the child's peak resident bytes."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_child, args=(queue, function, arguments))
    process.start()
    result = queue.get()
    process.join()
    return result


def _child(queue, function, arguments):
    result = function(*arguments)
    result.pop("gradients", None)
    result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    queue.put(result)


def measure_speed(work, adapter, arguments):
    """Alternates the two sides, rung with and without recomputation; prints the median of the paired ratios."""
    batch, length, steps = 4, arguments.length, arguments.speed_steps
    rows_file = work / "rows.jsonl"
    rows = make_rows(rows_file, batch * steps, length)
    dtype = torch.float32 if arguments.speed_dtype == "fp32" else torch.bfloat16
    modes = {"all": True, "none": False}  # blocks recomputed
    ratios = {mode: [] for mode in modes}
    rate = lambda side: batch * length / statistics.median(side["seconds"][1:] or side["seconds"])
    for _ in range(arguments.pairs):
        theirs = process_peak(train_reference, "nf4", dtype, str(adapter), rows, batch, steps, True, False)
        print(f"  HF {rate(theirs):.1f} tokens/s, {theirs['peak'] / 2**30:.2f} GiB", flush=True)
        for mode, checkpointing in modes.items():
            ours = train_rung(work, "nf4", torch.bfloat16, adapter, rows_file, batch, steps, checkpointing)
            ratios[mode].append(rate(ours) / rate(theirs))
            print(f"  rung {rate(ours):.1f} tokens/s, {ours['run']['memory']['process_peak'] / 2**30:.2f} GiB "
                  f"({mode} recomputed)", flush=True)
    for mode in modes:
        print(f"{mode} recomputed: {statistics.median(ratios[mode]):.2f} times HF "
              f"(NF4, r 16 all linear, {batch} x {length} tokens, HF {arguments.speed_dtype} with checkpointing)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", action="store_true", help="tokens/s and peak memory instead of numbers")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--speed-steps", type=int, default=4)
    parser.add_argument("--speed-dtype", choices=("bf16", "fp32"), default="bf16", help="compute dtype of the HF side")
    parser.add_argument("--length", type=int, default=512, help="tokens a row for --speed")
    parser.add_argument("--bases", nargs="+", choices=BASES, default=BASES)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--bf16-steps", type=int, default=100, help="0 leaves bf16 out")
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        adapter = work / "adapter"
        make_adapter(adapter)
        if arguments.speed:
            return measure_speed(work, adapter, arguments)
        out = None
        for base in arguments.bases:
            out = compare_training(report, work, base, torch.float32, adapter, 2, 64, arguments.steps)
        if arguments.bf16_steps:
            if "avx512_bf16" not in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"):
                widen_bf16_products()
                print("\n(no AVX512-bf16: the reference's bf16 products are made in fp32 and rounded once)")
            compare_training(report, work, "nf4", torch.bfloat16, adapter, 2, 32, arguments.bf16_steps)
        if out:
            compare_adapter(report, work, out)
    print(f"\n{report.failed} figures past their bar")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
