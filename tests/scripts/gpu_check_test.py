#!/usr/bin/env python3
"""scripts/gpu_check without a GPU: programs that crash, hang and print stand for those of a bundle."""
import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from gpu_checks import bundle, parts, processes, report  # noqa: E402
from gpu_checks.session import Session, bar_of  # noqa: E402

NVIDIA_SMI = """#!/bin/sh
case "$1" in *driver*) echo 580.1 ;; *) echo "Fake GPU, 81559 MiB" ;; esac
"""


class Machine(unittest.TestCase):
    """A folder with a bundle of fakes, a PATH with an nvidia-smi, and no time to wait for."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.bundle = self.folder / "bundle"
        self.bundle.mkdir()
        self.put("rung", (HERE / "fake_rung.py").read_text(encoding="utf-8"))
        for name in ("rung_gpu_kernels", "rung_gpu_models", "rung_gpu_runs"):
            self.put(name, (HERE / "fake_tests.py").read_text(encoding="utf-8"))
        for name in ("librung_cuda.so", "shapes.yaml"):
            self.put(name, "")
        (self.bundle / "commit").write_text(bundle.commit_here() or "unknown", encoding="utf-8")
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        self.put("../tools/nvidia-smi", NVIDIA_SMI)
        self.set("PATH", f"{self.tools}:{os.environ['PATH']}")
        self.set("RUNG_TORCH", str(self.folder))
        self.set("FAKE", "{}")
        self.set("FAKE_TESTS", "{}")
        self.set_least(0.2)

    def set(self, name, value):
        before = os.environ.get(name)
        os.environ[name] = value
        self.addCleanup(lambda: os.environ.pop(name) if before is None else os.environ.update({name: before}))

    def set_least(self, seconds):
        before, processes.LEAST_SECONDS = processes.LEAST_SECONDS, seconds
        self.addCleanup(setattr, processes, "LEAST_SECONDS", before)

    def put(self, name, text):
        path = self.bundle / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def session(self, group="bench", **fakes):
        for name, ways in fakes.items():
            self.set(name, json.dumps(ways))
        with contextlib.redirect_stdout(io.StringIO()):
            session = Session(self.bundle, self.folder / "out")
        session.begin(group)
        return session

    def figure(self, action, seconds=5.0, **fakes):
        """The only figure of a part."""
        session = self.session(**fakes)
        with contextlib.redirect_stdout(io.StringIO()):
            action(session, processes.Clock(seconds))
        figures = session.group["figures"]
        self.assertEqual(len(figures), 1)
        return figures[0]

    def gpu_check(self, *words, **environment):
        return subprocess.run([sys.executable, ROOT / "scripts/gpu_check", *map(str, words)], capture_output=True,
                              text=True, env=dict(os.environ, **environment), timeout=120)


class Processes(Machine):
    def test_a_hanging_program_is_ended_with_its_children(self):
        start = time.monotonic()
        done = processes.run(["sh", "-c", "echo out; echo err >&2; sleep 600 & sleep 600"], os.environ, 0.5)
        self.assertEqual((done.code, done.out, done.err), (processes.OUT_OF_TIME, "out\n", "err\n"))
        self.assertLess(time.monotonic() - start, 10)

    def test_a_program_that_has_said_enough_is_ended(self):
        done = processes.run(["sh", "-c", "echo ready >&2; sleep 600"], os.environ, 60, lambda err: "ready" in err)
        self.assertEqual(done.code, processes.STOPPED)

    def test_reading_along_takes_nothing_from_the_output(self):
        loop = "for i in 1 2 3 4 5 6 7 8; do echo line $i >&2; sleep 0.1; done"
        done = processes.run(["sh", "-c", loop], os.environ, 60, lambda err: False)
        self.assertEqual(done.err.split("\n"), [f"line {i}" for i in range(1, 9)] + [""])

    def test_types_of_a_suite_are_one(self):
        listed = processes.run([self.bundle / "rung_gpu_kernels", "--gtest_list_tests"], os.environ, 60)
        self.assertEqual(processes.suites_of(listed.out), ["Norm/*.*", "Rope.*", "Bandwidth.*", "Rows/Attention.*"])


class Tests(Machine):
    def test_a_suite_that_crashes_or_hangs_hides_no_other(self):
        session = self.session(FAKE_TESTS={"Norm/1": "crash", "Bandwidth": "hang"})
        with contextlib.redirect_stdout(io.StringIO()):
            figure = session.suites(processes.Clock(60), "kernels", "rung_gpu_kernels", seconds=1, leave_out="*Attention*")
        self.assertEqual(figure["tests"], 1)
        self.assertEqual(figure["broken"], ["Norm/*.* (exit code -6)", "Bandwidth.* (out of time)"])
        self.assertNotEqual(figure["exit_code"], 0)
        self.assertIn("illegal memory access", figure["output"])
        self.assertIn("waits for ever", figure["output"])

    def test_skipped_tests_have_not_passed(self):
        figure = self.figure(parts.kernels, seconds=60, FAKE_TESTS={"Norm/0": "skip", "Norm/1": "fail"})
        self.assertEqual((figure["tests"], len(figure["failed"]), len(figure["skipped_tests"])), (8, 2, 2))
        self.assertIn("4 of 8 tests pass; skipped: Norm/0.Forward", report.cell(figure))
        self.assertTrue(report.is_failed(figure))

    def test_what_cases_record_is_kept_apart(self):
        figure = self.figure(parts.kernels, seconds=60)
        self.assertEqual(figure["recorded"], {"Rope.Rotates": {"error": "0.7"}})

    def test_what_the_time_does_not_reach_is_named(self):
        session = self.session()
        with contextlib.redirect_stdout(io.StringIO()):
            figure = session.suites(processes.Clock(0), "kernels", "rung_gpu_kernels", seconds=1, leave_out="none")
        self.assertEqual(len(figure["not_reached"]), 4)
        self.assertIn("not reached: Norm/*.*", report.cell(figure))

    def test_a_filter_that_chooses_nothing_fails(self):
        session = self.session()
        with contextlib.redirect_stdout(io.StringIO()):
            session.suite(processes.Clock(60), "none", "rung_gpu_kernels", "Absent.*")
        self.assertIn("no test ran", report.cell(session.group["figures"][0]))

    def test_sanitizers_run_the_program_behind_them(self):
        self.put("../tools/compute-sanitizer", '#!/bin/sh\nshift 4\n[ "$RUNG_BARE_BUFFERS" = 1 ] || exit 3\nexec "$@"\n')
        figure = self.figure(parts.sanitizer("memcheck"), seconds=60)
        self.assertEqual((figure["exit_code"], figure["tests"]), (0, 8))


class Benches(Machine):
    BENCH = parts.Bench("2 x 2048", "llama-3.1-8b", parts.PACKED, bar=("tokens_per_second", "least", 8600))
    LEAN = parts.Bench("lean", "llama-3.1-8b", parts.PACKED, bar=("peak_memory", "most", 7.4 * 2**30))

    def test_a_bar_is_met_or_missed(self):
        figure = self.figure(self.BENCH, FAKE={"llama-3.1-8b": {"rate": 9000.0}})
        self.assertEqual(figure["figure"], "llama-3.1-8b/nf4/r16/2x2048/23GiB, 2 x 2048")
        self.assertEqual(report.bar(figure), ">= 8,600 tokens/s: met")
        figure = self.figure(self.BENCH, FAKE={"llama-3.1-8b": {"rate": 8000.0}})
        self.assertEqual(report.bar(figure), ">= 8,600 tokens/s: **missed**")
        self.assertFalse(report.is_failed(figure))
        self.assertEqual(report.bar(self.figure(self.LEAN)), "tensors <= 7.40 GiB: met")

    def test_a_bench_that_runs_out_of_time_keeps_its_steps(self):
        figure = self.figure(self.BENCH, seconds=1.0, FAKE={"llama-3.1-8b": {"way": "hang"}})
        self.assertEqual(figure["exit_code"], processes.OUT_OF_TIME)
        self.assertEqual(figure["steps"], [["warm-up", 90.5, "peak 11.5 GiB"], ["step 1/2", 95.0, "peak 11.5 GiB"]])
        self.assertIn("load      8.03B weights", figure["output"])
        self.assertIn("out of time; warm-up 90 tokens/s; step 1/2 95 tokens/s", report.cell(figure))
        self.assertIn("not measured", report.bar(figure))

    def test_a_bench_that_crashes_keeps_what_it_said(self):
        figure = self.figure(self.BENCH, FAKE={"llama-3.1-8b": {"way": "crash"}})
        self.assertEqual(figure["exit_code"], -6)
        self.assertIn("32 of 32 blocks", figure["output"])


class Longest(Machine):
    def longest(self, seconds=20.0, **way):
        return self.figure(parts.longest, seconds, FAKE={"llama-3.1-8b": way})

    def test_the_longest_that_fits_is_trained_on(self):
        figure = self.longest(fits=150000)
        self.assertEqual((figure["longest_planned"], figure["longest_trained"]), (147456, 147456))
        self.assertEqual(len(figure["tried"]), 1)
        self.assertIn("147,456 tokens trained (a step at 90 tokens/s, peak 11.5 GiB)", report.cell(figure))

    def test_a_step_that_takes_too_long_is_tried_at_half_the_length(self):
        figure = self.longest(seconds=8.0, fits=150000, slow=80000)
        self.assertEqual(figure["tried"][0]["exit_code"], processes.OUT_OF_TIME)
        self.assertEqual((figure["longest_planned"], figure["longest_trained"]), (147456, 61440))
        self.assertEqual(figure["exit_code"], 0)

    def test_where_nothing_fits_it_has_failed(self):
        figure = self.longest(fits=1000)
        self.assertEqual((figure["longest_planned"], figure["tried"], figure["exit_code"]), (None, [], 4))
        self.assertIn("does not fit; none fits", report.cell(figure))

    def test_where_no_step_ends_it_has_failed(self):
        figure = self.longest(way="crash")
        self.assertEqual((figure["longest_trained"], figure["exit_code"], len(figure["tried"])), (None, -6, 4))


class Program(Machine):
    def run_all(self, seconds, *more, **environment):
        return self.gpu_check("all", "--from", self.bundle, "--out", self.folder / "out", "--seconds", seconds, *more,
                              **environment)

    def test_all_of_it(self):
        done = self.run_all(100)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        names = sorted(path.name for path in (self.folder / "out").iterdir())
        self.assertEqual(names, ["bench.json", "correct.json", "long.json", "report.md"])
        page = (self.folder / "out/report.md").read_text(encoding="utf-8")
        self.assertIn("23.0 GiB", page)
        self.assertIn("| longest sequence, 8B |", page)
        self.assertIn("not run: there is no compute-sanitizer", page)
        again = self.gpu_check("report", "--out", self.folder / "out")
        self.assertEqual(again.stdout, page)

    def test_what_is_worth_least_is_not_run_where_time_ends(self):
        done = self.run_all(6, FAKE_TESTS=json.dumps({"Norm/0": "hang"}))
        self.assertEqual(done.returncode, 1)
        correct = json.loads((self.folder / "out/correct.json").read_text(encoding="utf-8"))
        self.assertEqual([figure["name"] for figure in correct["figures"]],
                         ["models against the CPU", "kernels", "runs", "memcheck", "racecheck"])
        self.assertIn("Norm/*.* (out of time)", correct["figures"][0]["broken"])
        self.assertEqual(correct["figures"][3]["not_run"], "no time left")
        self.assertIn("bench: 8B: not run: no time left", done.stdout)

    def test_a_part_that_fails_makes_the_exit_code_1(self):
        words = ("bench", "--from", self.bundle, "--out", self.folder / "out")
        self.assertEqual(self.gpu_check(*words).returncode, 0)
        done = self.gpu_check(*words, FAKE=json.dumps({"qwen3-0.6b": {"way": "diverge"}}))
        self.assertEqual(done.returncode, 1)
        self.assertIn("qwen3-0.6b, 2 x 2048: **failed**: exit code 5; warm-up 90 tokens/s", done.stdout)

    def test_a_bundle_of_another_commit_is_refused(self):
        if bundle.commit_here() is None:
            self.skipTest("there is no git")
        (self.bundle / "commit").write_text("0123abc", encoding="utf-8")
        done = self.gpu_check("bench", "--from", self.bundle, "--out", self.folder / "out", "--seconds", 1)
        self.assertEqual(done.returncode, 1)
        self.assertIn("commit 0123abc, the checkout's is", done.stdout)
        self.assertIn("--stale", done.stderr)
        self.assertNotIn("--stale", self.run_all(1, "--stale").stderr)

    def test_a_folder_that_is_no_bundle_is_told_in_one_line(self):
        done = self.gpu_check("correct", "--from", self.tools, "--out", self.folder / "out")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn("is no bundle, it lacks rung,", done.stderr)

    def test_attention_has_a_row_a_shape(self):
        values = {"flash_forward_ms": "0.2", "flash_backward_ms": "0.8", "flash_tflops": "210",
                  "flash_backward_bytes": str(2 * 2**20), "cudnn_forward_ms": "0.1", "cudnn_backward_ms": "0.5",
                  "cudnn_tflops": "340.4", "cudnn_backward_bytes": str(2**20), "cudnn_out_difference": "0.0018",
                  "cudnn_gradient_difference": "0.0028"}
        figure = {"name": "attention", "exit_code": 0, "tests": 1, "failed": [], "skipped_tests": [],
                  "recorded": {"Rows/Attention.OfCudnnIsThatOfFlash/2x2048": values}}
        page = report.page([{"group": "bench", "gpu": "G", "driver": "1", "commit": "c", "date": "d",
                             "figures": [figure]}])
        self.assertIn("| attention |  | 1 of 1 tests pass |", page)
        self.assertIn("| 2x2048 | | flash 0.2 + 0.8 ms, 210 TFLOP/s, backward takes 2 MiB; cudnn 0.1 + 0.5 ms, 340 TFLOP/s, "
                      "backward takes 1 MiB; results differ by 1.8e-03, gradients by 2.8e-03 |", page)

    def test_bars_of_tests_and_lengths(self):
        share = {"bar": bar_of(("nf4_dequantize_share_of_copy", "least", 0.85), 0.88)}
        self.assertEqual(report.bar(share), ">= 85% of a copy: met")
        length = {"bar": bar_of(("longest_trained", "least", 78475), None)}
        self.assertEqual(report.bar(length), ">= 78,475 tokens: not measured")

    def test_report_reads_the_groups_alone(self):
        out = self.folder / "out"
        out.mkdir()
        (out / "other.json").write_text("[]", encoding="utf-8")
        done = self.gpu_check("report", "--out", out)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1))


class Bundles(Machine):
    def make(self, target):
        build = self.folder / "build"
        build.mkdir(exist_ok=True)
        for name in bundle.PROGRAMS:
            shutil.copy2(shutil.which("true"), build / name)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            bundle.make(target, build)

    def test_a_bundle_takes_the_place_of_an_earlier_one(self):
        target = self.folder / "new"
        for _ in range(2):
            self.make(target)
            self.assertEqual(sorted(path.name for path in target.iterdir()),
                             sorted([*bundle.PROGRAMS, "commit", "shapes.yaml"]))
        self.assertEqual([path for path in self.folder.iterdir() if path.name.startswith(".")], [])

    def test_a_folder_of_other_things_is_left_alone(self):
        target = self.folder / "precious"
        target.mkdir()
        (target / "thesis.txt").write_text("x", encoding="utf-8")
        for path in (target, target / "thesis.txt"):
            with self.assertRaises(SystemExit):
                self.make(path)
        self.assertTrue((target / "thesis.txt").exists())
        (self.bundle / "notes.txt").write_text("x", encoding="utf-8")
        with self.assertRaises(SystemExit):
            self.make(self.bundle)


if __name__ == "__main__":
    unittest.main()
