"""The groups' JSONs as a page in Markdown."""

import json

from gpu_checks.processes import OUT_OF_TIME

HEAD = """# On a GPU

A "24 GB card" is 23.0 GiB for the whole process, the CUDA context included (`memory_limit=23.0GiB`). Tensors: their
peak during the timed steps, as torchtune's "peak allocated"; held: what LibTorch's allocator had reserved for them, which
is what is planned; process: all of the process on the GPU.
"""


def is_failed(figure):
    return "not_run" not in figure and figure.get("exit_code", 0) != 0


def gib(size):
    return f"{size / 2**30:.2f} GiB"


def attention_cell(recorded):
    """Times, memory and distances of tests/gpu/attention_gpu.cpp; keys start with the name of the kernel."""
    parts = []
    for kernel in ("flash", "cudnn"):
        if f"{kernel}_tflops" in recorded:
            forward, backward, rate = (float(recorded[f"{kernel}_{key}"])
                                       for key in ("forward_ms", "backward_ms", "tflops"))
            mib = float(recorded[f"{kernel}_backward_bytes"]) / 2**20
            parts.append(f"{kernel} {forward:.3g} + {backward:.3g} ms, {rate:.0f} TFLOP/s, backward takes {mib:.0f} MiB")
    if "cudnn_out_difference" in recorded:
        parts.append(f"results differ by {float(recorded['cudnn_out_difference']):.1e}, gradients by "
                     f"{float(recorded['cudnn_gradient_difference']):.1e}")
    return "; ".join(parts)


def recorded_cell(recorded):
    """{case: {key: value}}; of a case alone its name is left out."""
    parts = []
    for case, values in recorded.items():
        text = ", ".join(f"{key} {value}" for key, value in values.items())
        parts.append(text if len(recorded) == 1 else f"{case}: {text}")
    return "; ".join(parts)


def is_attention(figure):
    return any("flash_tflops" in values for values in figure.get("recorded", {}).values())


def tests_cell(figure):
    num_passed = figure["tests"] - len(figure["failed"]) - len(figure["skipped_tests"])
    parts = [f"{num_passed} of {figure['tests']} tests pass"]
    for key, text in (("skipped_tests", "skipped"), ("failed", "failed"), ("broken", "came to no end"),
                      ("not_reached", "not reached")):
        if figure.get(key):
            parts.append(f"{text}: {', '.join(figure[key])}")
    if figure["recorded"] and not is_attention(figure):  # those have lines of their own
        parts.append(recorded_cell(figure["recorded"]))
    return "; ".join(parts)


def bench_cell(row):
    share = row["tflops"] / row["gemm_tflops"] if row.get("gemm_tflops") else 0.0
    text = (f"{row['tokens_per_second']:,.0f} tokens/s, {row['tflops']:.0f} TFLOP/s = {100 * share:.0f} % of GEMM; "
            f"tensors {gib(row['peak_memory'])}, held {gib(row['held_peak'])} (planned {gib(row['planned_peak'])}), "
            f"process {gib(row['process_memory'])}")
    return text + (f"; the allocator ran dry {row['alloc_retries']} times" if row.get("alloc_retries") else "")


def longest_cell(figure):
    planned = f"{figure['longest_planned']:,} planned" if figure["longest_planned"] else "none fits"
    if not figure["longest_trained"]:
        return f"{planned}; no step ended"
    rate = f"a step at {figure['tokens_per_second']:,.0f} tokens/s"
    held = f", {figure['held']}" if figure.get("held") else ""
    return f"{figure['longest_trained']:,} tokens trained ({rate}{held}); {planned}"


def why(figure):
    """Of a part that has failed."""
    text = {4: "does not fit", OUT_OF_TIME: "out of time"}.get(figure["exit_code"], f"exit code {figure['exit_code']}")
    steps = "".join(f"; {name} {rate:,.0f} tokens/s" for name, rate, _ in figure.get("steps", []))
    return "**failed**: " + text + steps


def cell(figure):
    if "not_run" in figure:
        return f"not run: {figure['not_run']}"
    if "longest_planned" in figure:
        text = longest_cell(figure)
    elif "tests" in figure:
        text = tests_cell(figure)
    elif "bench" in figure:
        text = bench_cell(figure["bench"])
    else:
        return why(figure)
    return f"{why(figure)}; {text}" if is_failed(figure) else text


BARS = {"tokens_per_second": "{sign} {value:,} tokens/s", "peak_memory": "tensors {sign} {gib}",
        "longest_trained": "{sign} {value:,} tokens", "nf4_dequantize_share_of_copy": "{sign} {value:.0%} of a copy"}


def bar(figure):
    wanted = figure.get("bar")
    if wanted is None:
        return ""
    sign = ">=" if wanted["sense"] == "least" else "<="
    text = BARS[wanted["key"]].format(sign=sign, value=wanted["value"], gib=gib(wanted["value"]))
    return text + {True: ": met", False: ": **missed**", None: ": not measured"}[wanted["met"]]


def page(results):
    lines = [HEAD]
    for result in results:
        lines += [f"## {result['group']}\n", f"Command: `scripts/gpu_check {result['group']}`. {result['gpu']}, driver "
                  f"{result['driver']}, commit {result['commit']}. Date: {result['date']}.\n",
                  "| what | bar | result |", "|---|---|---|"]
        for figure in result["figures"]:
            lines.append(f"| {figure.get('figure', figure['name'])} | {bar(figure)} | {cell(figure)} |".replace("\n", " "))
            if is_attention(figure):
                lines += [f"| {case.rsplit('/')[-1]} | | {attention_cell(values)} |"
                          for case, values in figure["recorded"].items()]
        lines.append("")
    return "\n".join(lines)


def read(folder, groups):
    """The results of these groups that the folder has."""
    paths = [folder / f"{group}.json" for group in groups]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
