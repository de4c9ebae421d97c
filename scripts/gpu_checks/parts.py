"""What is checked and measured, part by part. Each takes a Session (session.py), which keeps what it finds.

24 GB card: 23.0 GiB for the whole process (memory_limit=23.0GiB). A bar is what is aimed at; where memory has one, the
peak of tensors is compared, as torchtune's "peak allocated" is one of tensors.
"""

import dataclasses
import re
import typing

from gpu_checks.processes import OUT_OF_TIME, Clock, steps_of
from gpu_checks.session import bar_of

CARD = ["memory_limit=23.0GiB"]
PACKED = [*CARD, "sequence_len=2048", "micro_batch_size=2"]
LEAN = ["gradient_checkpointing=true", "embedding_offloading=true"]
DOES_NOT_FIT = 4  # rung's exit code


def models(session, clock):
    session.suites(clock, "models against the CPU", "rung_gpu_models", seconds=120, leave_out="*Attention*")


def kernels(session, clock):
    session.suites(clock, "kernels", "rung_gpu_kernels", seconds=60, leave_out="*Bandwidth*", CUDA_LAUNCH_BLOCKING="1")


def sanitizer(tool):
    def part(session, clock):
        session.sanitized(clock, tool, "rung_gpu_kernels", seconds=90, leave_out="*Bandwidth*")
    return part


def bandwidth(session, clock):
    session.suite(clock, "NF4 dequantisation, 4096 x 14336", "rung_gpu_kernels", "Bandwidth*",
                  bar=("nf4_dequantize_share_of_copy", "least", 0.85))


def attention(session, clock):
    session.suite(clock, "attention where documents fill their rows", "rung_gpu_models", "*Attention*")


def runs(session, clock):
    session.suites(clock, "runs", "rung_gpu_runs", seconds=90, leave_out="")


@dataclasses.dataclass(frozen=True)
class Bench:
    """Training steps of a shape with random weights."""
    label: str
    shape: str
    settings: typing.Sequence[str]
    steps: int = 0  # 0: as many as take 20 seconds
    bar: typing.Optional[typing.Tuple[str, str, float]] = None  # key of bench's figure, least or most, of how much

    def __call__(self, session, clock):
        session.bench(clock, self)


# ---- the longest sequence

LENGTH_STEP = 4096
LENGTHS = range(8 * LENGTH_STEP, 80 * LENGTH_STEP, LENGTH_STEP)  # 32,768 up to 323,584 tokens


def longest_settings(length):
    return [*CARD, f"sequence_len={length}", "micro_batch_size=1", *LEAN]


def fits(session, clock, length):
    """Whether rung plans to take this length: it says so, or refuses with exit code 4, before it loads anything."""
    planned = re.compile(r"^plan .*\n", re.MULTILINE)
    done = session.run_bench(clock, "llama-3.1-8b", longest_settings(length), 1, seconds=40,
                             enough=lambda err: planned.search(err) is not None)
    if planned.search(done.err):
        return True
    if done.code == DOES_NOT_FIT:
        return False
    raise RuntimeError(f"the plan of {length} tokens came to no end (exit code {done.code}): {done.tail()}")


def longest_that_fits(session, clock):
    """By bisection, as far as the time goes; None where nothing fits."""
    low, high = -1, len(LENGTHS)
    while high - low > 1 and not clock.is_over():
        middle = (low + high) // 2
        if fits(session, clock, LENGTHS[middle]):
            low = middle
        else:
            high = middle
    return LENGTHS[low] if low >= 0 else None


def longest(session, clock):
    """What the plan takes is then trained on: a step that has ended is the proof, a minute or two of an H100 at 147,000
    tokens. One that takes too long is tried at half the length, in a quarter of the time."""
    planned = length = longest_that_fits(session, Clock(100, clock))
    figure = {"name": "longest sequence, 8B", "exit_code": DOES_NOT_FIT, "longest_planned": planned,
              "longest_trained": None, "tried": []}
    while length and len(figure["tried"]) < 4 and not clock.is_over():
        # Two thirds of what is left, so that there is time for half the length.
        done = session.run_bench(clock, "llama-3.1-8b", longest_settings(length), 1, seconds=clock.left() * 2 / 3,
                                 enough=lambda err: bool(steps_of(err)))
        steps = steps_of(done.err)
        figure["tried"].append({"length": length, "exit_code": done.code, "steps": steps})
        if steps:
            figure |= {"exit_code": 0, "longest_trained": length, "tokens_per_second": steps[0][1], "held": steps[0][2]}
            break
        figure |= {"exit_code": done.code, "output": done.tail()}
        length = length // (2 if done.code == OUT_OF_TIME else 1) * 7 // 8 // LENGTH_STEP * LENGTH_STEP
    figure["bar"] = bar_of(("longest_trained", "least", 78475), figure["longest_trained"])
    session.add(figure)


# ---- all of them, in order of worth: what is at the end is given up first where time runs out

@dataclasses.dataclass(frozen=True)
class Part:
    group: str
    name: str
    seconds: float  # at most
    action: typing.Callable


PARTS = (
    Part("correct", "models against the CPU", 150, models),
    Part("correct", "kernels", 150, kernels),
    Part("correct", "runs", 90, runs),
    Part("bench", "8B", 120, Bench("2 x 2048", "llama-3.1-8b", PACKED, bar=("tokens_per_second", "least", 8600))),
    Part("long", "longest sequence, 8B", 260, longest),
    Part("long", "70B", 200, Bench("streamed", "llama-3-70b",
                                   [*CARD, "sequence_len=4096", "micro_batch_size=1", "layer_offloading=true",
                                    "activation_offloading=true", *LEAN], steps=1)),
    Part("bench", "8B lean", 90, Bench("least memory", "llama-3.1-8b", [*PACKED, *LEAN], steps=3,
                                       bar=("peak_memory", "most", 7.4 * 2**30))),
    Part("bench", "qwen3-0.6b", 60, Bench("2 x 2048", "qwen3-0.6b", PACKED, bar=("tokens_per_second", "least", 18000))),
    Part("bench", "qwen3-1.7b", 60, Bench("2 x 2048", "qwen3-1.7b", PACKED, bar=("tokens_per_second", "least", 18000))),
    Part("bench", "8B, FlashAttention-2", 60, Bench("2 x 2048, attention: flash", "llama-3.1-8b",
                                                    [*PACKED, "attention=flash"])),
    Part("bench", "NF4 dequantisation", 60, bandwidth),
    Part("bench", "attention", 60, attention),
    Part("bench", "8B recomputed", 90, Bench("all recomputed", "llama-3.1-8b",
                                             [*PACKED, "gradient_checkpointing=true"], steps=3)),
    Part("bench", "8B offloaded", 90, Bench("all recomputed, inputs on the host", "llama-3.1-8b",
                                            [*PACKED, "gradient_checkpointing=true", "activation_offloading=true"],
                                            steps=3)),
    Part("bench", "8B lean, offloaded", 60, Bench("least memory, inputs on the host", "llama-3.1-8b",
                                                  [*PACKED, *LEAN, "activation_offloading=true"], steps=3)),
    Part("bench", "8B deterministic", 60, Bench("2 x 2048, deterministic", "llama-3.1-8b",
                                                [*PACKED, "deterministic=true"], steps=3)),
    Part("correct", "memcheck", 180, sanitizer("memcheck")),
    Part("correct", "racecheck", 180, sanitizer("racecheck")),
)
GROUPS = ("correct", "bench", "long")


def run(session, action, clock):
    """The parts of a group, or of all."""
    for part in PARTS:
        if action not in ("all", part.group):
            continue
        session.begin(part.group)
        if clock.is_over():
            session.add({"name": part.name, "not_run": "no time left"})
            continue
        try:
            part.action(session, Clock(part.seconds, clock))
        except Exception as error:  # the next part is worth its try
            session.add({"name": part.name, "exit_code": 1, "output": f"{type(error).__name__}: {error}"})
