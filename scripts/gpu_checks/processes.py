"""Programs that are run within a time limit, and what is read from what they leave."""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import tempfile
import time

OUT_OF_TIME = 124  # the exit code of what its limit has ended
STOPPED = 125      # of what was ended because it had said enough
LEAST_SECONDS = 3.0  # with less left nothing is started
TAIL = 2000        # characters kept of an output


class Clock:
    """So many seconds from now on, and never more than those of the clock around it."""

    def __init__(self, seconds, around=None):
        self.end = time.monotonic() + seconds
        if around is not None:
            self.end = min(self.end, around.end)

    def left(self):
        return max(0.0, self.end - time.monotonic())

    def is_over(self):
        return self.left() < LEAST_SECONDS


@dataclasses.dataclass
class Done:
    code: int  # negative: the signal that ended it
    out: str
    err: str

    def tail(self):
        return (self.out + self.err)[-TAIL:]


def run(command, environment, seconds, enough=None):
    """Runs a program to its end, to its limit, or until `enough`, called with what it has written to standard error,
    is true. Children that it leaves behind are ended as well."""
    # Files, not pipes: what was written is there at a limit, and a grandchild that lives on would hold a pipe open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen([str(word) for word in command], env=environment, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err, preexec_fn=os.setpgrp)
        try:
            code = wait(process, time.monotonic() + seconds, lambda: enough is not None and enough(text_of(err)))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return Done(code, text_of(out), text_of(err))


def text_of(file):
    """All of it; the program, which writes where the file's position is, is left alone."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def wait(process, end, is_enough):
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=max(0.01, min(0.2, end - time.monotonic())))
        if is_enough():
            return STOPPED
        if time.monotonic() >= end:
            return OUT_OF_TIME


# ---- GoogleTest

def suites_of(listing):
    """The suites of --gtest_list_tests. Those of one test for several types or parameters are one: "Norm/*"."""
    names = [line.split("#")[0].strip() for line in listing.splitlines() if line[:1].strip()]
    suites = [re.sub(r"/\d+\.$", "/*.", name) for name in names if name.endswith(".")]
    return [name + "*" for name in dict.fromkeys(suites)]


# What GoogleTest writes of every case itself; all else is what the case has recorded.
CASE_KEYS = {"name", "file", "line", "status", "result", "timestamp", "time", "classname", "failures", "skipped",
             "type_param", "value_param"}


def read_report(path):
    """Counts, names and recorded values of a report in JSON; None where the program has not come to write one."""
    try:
        suites = json.loads(path.read_text(encoding="utf-8"))["testsuites"]
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    result = {"tests": 0, "failed": [], "skipped": [], "recorded": {}}
    for suite in suites:
        for case in suite["testsuite"]:
            if case.get("status") == "NOTRUN":
                continue
            name = f"{suite['name']}.{case['name']}"
            result["tests"] += 1
            if case.get("failures"):
                result["failed"].append(name)
            elif case.get("result") == "SKIPPED":
                result["skipped"].append(name)
            values = {key: value for key, value in case.items() if key not in CASE_KEYS}
            if values:
                result["recorded"][name] = values
    return result


# ---- rung bench

STEP = re.compile(r"^(warm-up|step \d+/\d+)\s+([\d.]+) tok/s(?:, (.*))?$", re.MULTILINE)


def steps_of(err):
    """The steps that bench has taken, from its lines: [name, tokens a second, what it holds]."""
    return [[name, float(rate), held] for name, rate, held in STEP.findall(err)]
