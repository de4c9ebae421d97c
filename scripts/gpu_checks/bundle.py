"""What a machine with a GPU needs of a build, in one folder, and the environment that its programs run in."""

import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = ("rung", "librung_cuda.so", "rung_gpu_kernels", "rung_gpu_models", "rung_gpu_runs")
LIBRARIES = ("libyaml-cpp", "libfmt", "libonig", "libutf8proc", "libcrypto", "libgtest")
LIMIT = 64 << 20  # bytes of a bundle


def fail(text):
    sys.exit(f"gpu_check: {text}")


def deps():
    return pathlib.Path(os.environ.get("RUNG_DEPS", ROOT / ".deps"))


def commit_here():
    """That of the checkout; None where there is no git, as in a copy of the files alone."""
    try:
        told = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True,
                              text=True)
    except FileNotFoundError:
        return None
    return told.stdout.strip() or None


# ---- making one

def is_bundle(folder):
    """Whether all in it is what `bundle` puts there: then it may be replaced."""
    names = {path.name for path in folder.iterdir()}
    known = {*PROGRAMS, "commit", "shapes.yaml"}
    strange = [name for name in names if name not in known and not name.startswith(LIBRARIES)]
    return {"rung", "commit"} <= names and not strange


def debian_libraries(program):
    """Third-party libraries of a program that a machine may lack: all but glibc's, g++'s and LibTorch's."""
    lines = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout.splitlines()
    paths = [pathlib.Path(line.split()[2]) for line in lines if "=>" in line and len(line.split()) > 2]
    return [path for path in paths if path.name.startswith(LIBRARIES)]


def warn(text):
    print(f"gpu_check: warning: {text}", file=sys.stderr)


def warn_of_an_old_build(program):
    """Where the program says that it was built from another commit."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True)
    built = re.search(r"\(([0-9a-f]{12})\)", told.stdout)
    here = commit_here()
    if built and here and not here.startswith(built.group(1)):
        warn(f"build/ is of commit {built.group(1)}, the checkout of {here}: run scripts/build --tests")


def fill(folder, build):
    for name in PROGRAMS:
        shutil.copy2(build / name, folder / name)
        subprocess.run(["strip", folder / name], check=True)
        for library in debian_libraries(build / name) if not name.endswith(".so") else []:
            shutil.copy2(library.resolve(), folder / library.name)
    shutil.copy2(ROOT / "configs/shapes.yaml", folder / "shapes.yaml")
    (folder / "commit").write_text(commit_here() or "unknown", encoding="utf-8")


def make(target, build=ROOT / "build"):
    """Fills a temporary folder beside `target`, which takes its place once all is there."""
    missing = [name for name in PROGRAMS if not (build / name).exists()]
    if missing:
        fail(f"build/ lacks {', '.join(missing)}: run scripts/build --tests where nvcc is")
    if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or is_bundle(target))):
        fail(f"{target} is there and no earlier bundle: name another folder")
    warn_of_an_old_build(build / "rung")
    target = target.resolve()  # "." cannot be renamed
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".gpu-bundle-") as temporary:
        new = pathlib.Path(temporary) / "new"
        new.mkdir()
        fill(new, build)
        size = sum(path.stat().st_size for path in new.iterdir())
        if size > LIMIT:
            fail(f"the bundle would take {size / 2**20:.1f} MiB, more than {LIMIT >> 20}")
        if target.exists():
            target.rename(pathlib.Path(temporary) / "old")
        new.rename(target)
    print(f"{target}: {size / 2**20:.1f} MiB, commit {(target / 'commit').read_text(encoding='utf-8')}")
    if not (deps() / "libtorch/nvidia").exists():
        warn("NVIDIA's libraries are not here, so that most of cuda/plugin_test and cuda/idle_gpu_test was passed over: "
             "RUNG_WITH_CUDA=1 scripts/bootstrap, then scripts/test -R cuda")


# ---- using one

def check(folder, stale):
    """That all is there, and of this checkout's commit, whatever is changed on top of it ("-dirty"); prints both.
    Returns that of the bundle."""
    absent = [name for name in (*PROGRAMS, "shapes.yaml", "commit") if not (folder / name).is_file()]
    if absent:
        fail(f"{folder} is no bundle, it lacks {', '.join(absent)}: make one with scripts/gpu_check bundle")
    commit = (folder / "commit").read_text(encoding="utf-8").strip()
    here = commit_here()
    print(f"bundle {folder}: commit {commit}, the checkout's is {here or 'not known'}", flush=True)
    if here and here.removesuffix("-dirty") != commit.removesuffix("-dirty") and not stale:
        fail("the bundle is of another commit than the checkout: run scripts/gpu_check bundle, or add --stale")
    return commit


def torch_folder():
    if os.environ.get("RUNG_TORCH"):
        return pathlib.Path(os.environ["RUNG_TORCH"])
    found = importlib.util.find_spec("torch")  # where it is; importing it takes seconds
    if found is not None and found.submodule_search_locations:
        return pathlib.Path(list(found.submodule_search_locations)[0])
    own = deps() / "libtorch/torch"
    return own if own.exists() else fail("there is no LibTorch: set RUNG_TORCH")


def environment(bundle):
    torch = torch_folder()
    folders = [bundle.resolve(), torch / "lib", *sorted((torch.parent / "nvidia").glob("*/lib"))]
    # What was there stays, behind: in containers it may be what leads to the driver's libcuda.so.1.
    library_path = ":".join([*map(str, folders), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    return dict(os.environ, LD_LIBRARY_PATH=library_path, OMP_WAIT_POLICY="passive")
