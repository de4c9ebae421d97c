"""Runs the programs of a bundle and keeps what they tell, a JSON a group, written anew after every figure."""

import datetime
import fnmatch
import json
import pathlib
import shutil
import subprocess
import tempfile

from gpu_checks import bundle
from gpu_checks.processes import OUT_OF_TIME, run, read_report, steps_of, suites_of
from gpu_checks.report import cell, is_failed


def query(fields):
    """Of the first GPU that nvidia-smi knows."""
    if not shutil.which("nvidia-smi"):
        bundle.fail("there is no nvidia-smi, so no NVIDIA driver")
    found = subprocess.run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"], capture_output=True,
                           text=True, timeout=60)
    if found.returncode != 0 or not found.stdout.strip():
        bundle.fail(f"nvidia-smi shows no GPU: {(found.stderr or found.stdout).strip()}")
    return found.stdout.strip().splitlines()[0]


def bar_of(wanted, measured):
    """{"key", "sense", "value", "met"}; `wanted` is a Bench's, `measured` None where there is no figure."""
    key, sense, value = wanted
    met = None if measured is None else measured >= value if sense == "least" else measured <= value
    return {"key": key, "sense": sense, "value": value, "met": met}


class Session:
    def __init__(self, folder, out, stale=False):
        query("name")  # without a GPU a bundle is no use
        self.commit = bundle.check(folder, stale)
        self.bundle = folder.resolve()
        self.out = out
        self.out.mkdir(parents=True, exist_ok=True)
        self.environment = bundle.environment(self.bundle)
        version = run([self.bundle / "rung", "--version"], self.environment, 60)
        if version.code != 0:  # another LibTorch, above all: nothing else would start either
            bundle.fail(f"{self.bundle / 'rung'} does not start: {version.tail().strip()}")
        self.header = {"gpu": query("name,memory.total"), "driver": query("driver_version"),
                       "versions": version.out.strip().splitlines(), "commit": self.commit,
                       "date": datetime.date.today().isoformat()}
        self.groups = {}
        self.group = None

    def begin(self, group):
        """What is added from here on belongs to this group."""
        self.group = self.groups.setdefault(group, {"group": group, **self.header, "figures": []})

    def add(self, figure):
        self.group["figures"].append(figure)
        path = self.out / f"{self.group['group']}.json"
        path.write_text(json.dumps(self.group, indent=1), encoding="utf-8")
        print(f"{self.group['group']}: {figure.get('figure', figure['name'])}: {cell(figure)}", flush=True)
        if is_failed(figure) and figure.get("output"):
            print(figure["output"][-600:], flush=True)

    def count(self):
        """Of all figures: how many there are, failed, were not run."""
        figures = [figure for group in self.groups.values() for figure in group["figures"]]
        return len(figures), sum(map(is_failed, figures)), sum("not_run" in figure for figure in figures)

    # ---- tests

    def list_suites(self, program, leave_out):
        listed = run([self.bundle / program, "--gtest_list_tests"], self.environment, 60)
        if listed.code != 0:
            raise RuntimeError(f"{program} does not list its tests (exit code {listed.code}): {listed.tail()}")
        return [suite for suite in suites_of(listed.out) if not fnmatch.fnmatch(suite, leave_out)]

    def run_suite(self, clock, program, suite, seconds, prefix=(), **more):
        """(Done, report or None) of the tests that the filter `suite` names, in a process of their own: a fault ends no
        others."""
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder) / "report.json"
            done = run([*prefix, self.bundle / program, f"--gtest_filter={suite}", f"--gtest_output=json:{report}"],
                       dict(self.environment, **more), min(seconds, clock.left()))
            return done, read_report(report)

    def suites(self, clock, name, program, seconds, leave_out, **more):
        """All suites of a program but those left out, each in a process of its own and within `seconds`, as one
        figure."""
        figure = {"name": name, "exit_code": 0, "tests": 0, "failed": [], "skipped_tests": [], "recorded": {}}
        for suite in self.list_suites(program, leave_out):
            if clock.is_over():
                figure.setdefault("not_reached", []).append(suite)
                continue
            done, report = self.run_suite(clock, program, suite, seconds, **more)
            self.merge(figure, suite, done, report)
        self.add(figure)
        return figure

    @staticmethod
    def merge(figure, suite, done, report):
        """Adds a suite to a figure. One without a report, or with an exit code that its cases do not explain, counts as
        a failure of its own."""
        if report is not None:
            figure["tests"] += report["tests"]
            figure["failed"] += report["failed"]
            figure["skipped_tests"] += report["skipped"]
            figure["recorded"] |= report["recorded"]
        has_run = report is not None and report["tests"] > 0
        if done.code == 0 and has_run:
            return
        if not has_run or not report["failed"]:
            reason = "out of time" if done.code == OUT_OF_TIME else f"exit code {done.code}"
            figure.setdefault("broken", []).append(f"{suite} ({'no test ran' if done.code == 0 else reason})")
        figure["exit_code"] = figure["exit_code"] or done.code or 1
        figure["output"] = (figure.get("output", "") + f"{suite}\n{done.tail()}\n")[-4000:]

    def suite(self, clock, name, program, suite, bar=None):
        """`bar`: (key of what a case records, least or most, of how much)."""
        figure = {"name": name, "exit_code": 0, "tests": 0, "failed": [], "skipped_tests": [], "recorded": {}}
        done, report = self.run_suite(clock, program, suite, clock.left())
        self.merge(figure, suite, done, report)
        if bar:
            values = [float(values[bar[0]]) for values in figure["recorded"].values() if bar[0] in values]
            figure["bar"] = bar_of(bar, values[0] if values else None)
        self.add(figure)

    def sanitized(self, clock, tool, program, seconds, leave_out):
        found = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
        if not pathlib.Path(found).exists():
            self.add({"name": tool, "not_run": "there is no compute-sanitizer"})
            return
        # RUNG_BARE_BUFFERS: what is beside a buffer is then memory that is not the program's (tests/gpu).
        self.suites(clock, tool, program, seconds, leave_out, CUDA_LAUNCH_BLOCKING="1", RUNG_BARE_BUFFERS="1",
                    prefix=[found, "--tool", tool, "--error-exitcode", "9"])

    # ---- rung bench

    def run_bench(self, clock, shape, settings, steps, seconds, enough=None):
        command = [self.bundle / "rung", "bench", "--json", "--shapes", self.bundle / "shapes.yaml", "--shape", shape,
                   "--steps", str(steps), "--set", "device=cuda"]
        for setting in settings:
            command += ["--set", setting]
        return run(command, self.environment, min(seconds, clock.left()), enough)

    def bench(self, clock, wanted):
        done = self.run_bench(clock, wanted.shape, wanted.settings, wanted.steps, clock.left())
        figure = {"name": f"{wanted.shape}, {wanted.label}", "exit_code": done.code, "settings": list(wanted.settings)}
        measured = None
        if done.code == 0:
            row = json.loads(done.out)["figures"][0]
            measured = row[wanted.bar[0]] if wanted.bar else None
            figure |= {"figure": f"{row['name']}, {wanted.label}", "bench": row}
        else:
            figure |= {"steps": steps_of(done.err), "output": done.tail()}
        if wanted.bar:
            figure["bar"] = bar_of(wanted.bar, measured)
        self.add(figure)
