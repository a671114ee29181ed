"""What somebody meets who installs distrib and tries it: dependencies, hints, names, programs at a prompt, memory."""

import code
import os
import re
import subprocess
import sys
import tomllib
import types

import numpy as np
import pytest
from helpers.documents import BLOCK
from helpers.mpi import ROOT
from test_docs import DOCUMENTS

import distrib

GRPC = ("grpcio", "grpcio-health-checking", "grpcio-reflection", "protobuf")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_strategy_comes_without_an_extra():
    names = {re.match(r"[A-Za-z0-9-]+", each)[0] for each in PROJECT["dependencies"]}
    assert set(GRPC) <= names
    assert PROJECT["optional-dependencies"]["grpc"] == [], "still accepted: pip install '.[grpc]'"


def test_hints_name_packages_that_there_are():
    """`distrib` is not on the index, so its extras cannot be installed from there."""
    bad = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "distrib").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"install\s+'?distrib", line)
    ]
    assert not bad


def public_modules():
    return [
        getattr(distrib, name)
        for name in distrib.__all__
        if isinstance(getattr(distrib, name), types.ModuleType)
    ]


@pytest.mark.parametrize("module", [distrib, *public_modules()], ids=lambda module: module.__name__)
def test_dir_shows_what_is_public(module):
    assert dir(module) == sorted(module.__all__)
    for name in dir(module):
        found = getattr(module, name)
        is_namespace = module is distrib or name == "schedules"  # as in keras.optimizers
        assert not isinstance(found, types.ModuleType) or is_namespace


class Prompt(code.InteractiveConsole):
    """Compiles what is typed line by line, and runs nothing."""

    def __init__(self):
        super().__init__()
        self.errors = []

    def runcode(self, compiled):
        pass

    def showsyntaxerror(self, *args, **kwargs):
        self.errors.append(str(sys.exc_info()[1]))


PROGRAMS = [
    pytest.param(text, id=document.name)
    for document in DOCUMENTS
    for language, text in BLOCK.findall(document.read_text())
    if language == "python"
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_programs_can_be_pasted_at_a_prompt(text):
    prompt = Prompt()
    for line in text.splitlines():
        prompt.push(line)
    prompt.push("")
    assert not prompt.errors


NOBODY = """
import os, sys, urllib.request, http.client, encodings.idna
from pathlib import Path
import distrib
from distrib.data import builtin

builtin.DEBIAN_FASHION_MNIST = Path("/nonexistent")
os.setgid(54321)
os.setuid(54321)
try:
    distrib.datasets.fashion_mnist(url="http://127.0.0.1:9/")
except distrib.DataError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without a home")
@pytest.mark.parametrize(
    ("has_cache", "words"),
    [(True, "Cannot download http://127.0.0.1:9/"), (False, "no home folder. Set DISTRIB_CACHE")],
)
def test_a_user_without_a_home(tmp_path, has_cache, words):
    cache = tmp_path / "cache"
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o055)
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    environ = {name: value for name, value in os.environ.items() if name not in ("HOME", "DISTRIB_CACHE")}
    if has_cache:
        environ["DISTRIB_CACHE"] = str(cache)
    ended = subprocess.run(
        [sys.executable, "-c", NOBODY], env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert words in ended.stdout, ended.stdout + ended.stderr


@pytest.mark.mpi
def test_launch_without_home(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("import distrib\nprint('rank', distrib.MirroredStrategy().replica_id, flush=True)\n")
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    command = [sys.executable, "-m", "distrib", "launch", "-n", "2", "--log-dir", tmp_path / "logs", script]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "rank 0" in ended.stdout
    assert "HOME is not set" in ended.stderr


def test_an_mpirun_that_does_not_start_is_quoted(tmp_path, monkeypatch):
    from distrib.launch.backends.mpirun import find_mpi

    mpirun = tmp_path / "mpirun"
    mpirun.write_text("#!/bin/sh\necho 'no home directory' >&2\nexit 1\n")
    mpirun.chmod(0o755)
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    with pytest.raises(distrib.ConfigError, match="It ended with 1 and said: no home directory"):
        find_mpi(str(python))


MEMORY = """
import sys
import numpy as np, distrib
def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))
x = np.load(sys.argv[1], mmap_mode="r")
model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(x.shape[1],))])
model.compile("sgd", "mse")
y = np.zeros(len(x))
model.fit(x[:100], y[:100], verbose=0)
before = anonymous()
model.fit(x, y, batch_size=256, epochs=2, verbose=0)
model.evaluate(x, y, batch_size=256, verbose=0)
print(anonymous() - before)
"""


def test_arrays_in_a_file_are_not_read_into_memory(tmp_path):
    rows, columns = 64 * 1024, 512  # 128 MiB
    path = tmp_path / "x.npy"
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, columns))
    array.flush()
    ended = subprocess.run(
        [sys.executable, "-c", MEMORY, path], capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 16 * 1024, "KiB more than before"
