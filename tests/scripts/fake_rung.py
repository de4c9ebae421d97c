#!/usr/bin/env python3
"""A rung without a GPU: what `--version` and `bench` print, and the ways in which they may fail.

FAKE: JSON, {shape: {"fits": tokens, "slow": tokens, "way": "hang" | "crash" | "diverge", "rate": tokens a second}}: longer
sequences than `fits` are refused, longer ones than `slow` have a step that never ends.
"""
import json
import os
import sys
import time


def say(text):
    print(text, file=sys.stderr, flush=True)


def hang():
    """With a child that keeps the outputs open."""
    if os.fork() == 0:
        time.sleep(600)
    time.sleep(600)


def main():
    if "--version" in sys.argv:
        print("rung 0.1.0 (fake)")
        return 0
    words = sys.argv[1:]
    shape = words[words.index("--shape") + 1]
    length = next(int(word.split("=")[1]) for word in words if word.startswith("sequence_len="))
    way = json.loads(os.environ.get("FAKE", "{}")).get(shape, {})
    say("device    Fake GPU (sm_90)")
    if length > way.get("fits", 10**9):
        say("error: does not fit")
        return 4
    say("plan      32 of 32 blocks recomputed, peak 12.0 GiB of 22.0 GiB")
    if way.get("way") == "crash":
        os.abort()
    if length > way.get("slow", 10**9):
        hang()
    say("load      8.03B weights in 0.1 s")
    say("warm-up   90.5 tok/s, peak 11.5 GiB")
    if way.get("way") == "hang":
        say("step 1/2  95.0 tok/s, peak 11.5 GiB")
        hang()
    if way.get("way") == "diverge":
        say("error: the loss or the gradient of a step is not finite")
        return 5
    figure = {"name": f"{shape}/nf4/r16/2x{length}/23GiB", "tokens_per_second": way.get("rate", 100.0), "tflops": 100.0,
              "gemm_tflops": 400.0, "peak_memory": 6 << 30, "held_peak": 7 << 30, "planned_peak": 7 << 30,
              "process_memory": 8 << 30, "alloc_retries": 0}
    print(json.dumps({"device": "Fake GPU (sm_90)", "settings": {}, "figures": [figure]}))
    return 0


sys.exit(main())
