"""The documents are true: every command in them runs in a fresh copy and a fresh environment, and so do programs."""

import collections
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import venv
from pathlib import Path

import pytest
from helpers.documents import BLOCK, LIMIT_S, assert_all_roles_ran, commands_of, starts_all_roles
from helpers.mpi import ROOT

from distrib.comm.messages.channel import SEGMENT_BYTES
from distrib.comm.messages.header import HEADER_BYTES, MAX_SCALARS
from distrib.comm.messages.wait import _CHECK_EVERY_S
from distrib.nn.batch_sums import BatchSums
from distrib.ps.wire.grpc_options import RECONNECT_S

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "cluster_configs/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
# Serve a page until they are told to end.
SERVERS = re.compile(r"^tensorboard\b")


def blocks(language):
    for document in DOCUMENTS:
        for its_language, text in BLOCK.findall(document.read_text()):
            if its_language == language:
                yield document, text


def commands():
    found = {}
    for document in DOCUMENTS:
        for command in commands_of(document):
            found.setdefault(command, document.name)
    return [pytest.param(name, command, id=f"{name}: {command}") for command, name in found.items()]


def programs():
    # Classes with several methods have blank lines, so `py` is for files, and `python` for a prompt, too.
    return [
        pytest.param(text, id=document.name) for name in ("python", "py") for document, text in blocks(name)
    ]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What `git clone` would give, with what is not committed yet."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def spent():
    """Seconds of the commands of each document so far."""
    return collections.Counter()


@pytest.fixture(scope="module")
def environment(tmp_path_factory, spent):
    """A shell in a new virtual environment, activated."""
    folder, begin = tmp_path_factory.mktemp("environment") / ".venv", time.monotonic()
    venv.create(folder, with_pip=True)
    spent["README.md"] += time.monotonic() - begin
    mine = str(Path(sys.prefix) / "bin")
    path = os.pathsep.join(entry for entry in os.environ["PATH"].split(os.pathsep) if entry != mine)
    return {
        **os.environ,
        "VIRTUAL_ENV": str(folder),
        "PATH": f"{folder / 'bin'}{os.pathsep}{path}",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }


@pytest.mark.mpi
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("document", "command"), commands())
def test_commands_of_the_documents(clone, environment, spent, fashion_mnist, document, command):
    if SERVERS.match(command):
        assert_serves(command, clone, environment)
        return
    begin = time.monotonic()
    ended = subprocess.run(
        ["bash", "-c", command], cwd=clone, env=environment, capture_output=True, text=True, timeout=240
    )
    spent[document] += time.monotonic() - begin
    assert ended.returncode == 0, ended.stdout + ended.stderr
    if starts_all_roles(command):
        assert_all_roles_ran(clone)
        assert spent["README.md"] < LIMIT_S, "as a new user has it, who reads from the top"
    if command == "./scripts/quickstart":
        accuracy = re.search(r"test accuracy (0\.\d+)", ended.stdout)
        assert accuracy, ended.stdout
        assert float(accuracy[1]) >= 0.95
        assert (clone / "runs" / "quickstart" / "result.json").is_file()


def assert_serves(command, folder, environment):
    """It prints the address of a page, which is there, and ends when it is told to."""
    server = subprocess.Popen(
        ["bash", "-c", f"exec {command} --port 0"],  # another may use its usual port here
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(60, server.kill)
    watchdog.start()
    try:
        printed = ""
        while not (address := re.search(r"http://\S+", printed)):
            line = server.stdout.readline()
            assert line, f"ended, or printed no address within 60 s:\n{printed}"
            printed += line
        with urllib.request.urlopen(address[0], timeout=30) as page:
            assert page.status == 200
        server.terminate()  # SIGINT is ignored by all that a shell starts in the background
        assert server.wait(30) in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
    finally:
        watchdog.cancel()
        watchdog.join()
        server.kill()
        server.communicate()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("program", programs())
def test_programs_of_the_documents(fashion_mnist, tmp_path, program):
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.timeout(90)
def test_the_tasks_that_are_started_by_hand(clone):
    """The four commands of `cluster_configs/README.md`, each in a terminal of its own."""
    commands = next(text for _, text in blocks("text") if text.startswith("distrib ps")).splitlines()
    assert len(commands) == 4
    with socket.socket() as free:  # another may use that port here
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    shutil.copytree(clone / "cluster_configs", clone / "by_hand", dirs_exist_ok=True)
    for file in (clone / "by_hand" / "tf_config").iterdir():
        file.write_text(file.read_text().replace("2224", port))
    path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    terminals = [
        subprocess.Popen(
            ["bash", "-c", command.replace("2224", port).replace("cluster_configs/", "by_hand/")],
            cwd=clone,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    deadline = time.monotonic() + 60
    try:
        said = [each.communicate(timeout=max(1.0, deadline - time.monotonic()))[0] for each in terminals]
    finally:
        for each in terminals:
            each.kill()
            each.wait()
    assert [each.returncode for each in terminals] == [0] * 4, "\n".join(said)
    assert "ckpt-10: val_" in said[2]
    assert "test accuracy" in said[3]


def test_s16_what_security_says():
    text = " ".join((ROOT / "SECURITY.md").read_text().split())
    for words in (
        "## Report a vulnerability To the maintainers, in private:",
        "## Supported versions The newest release",
        "## Threat model: who is trusted",
        "Not trusted: other users of the hosts",
        "**MPI traffic is neither encrypted nor authenticated by us**",
        "Use the MPI strategies on hosts whose network you trust",
        "## What is not protected",
    ):
        assert words in text


def test_every_block_says_what_it_is():
    for document in DOCUMENTS:
        languages = {language for language, _ in BLOCK.findall(document.read_text())}
        assert languages <= {"sh", "python", "py", "text", "mermaid"}, document.name


def test_numbers_of_the_documents_are_those_of_the_code():
    """Where a page states a constant, it is the constant."""
    texts = {path.name: path.read_text() for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]}
    stated = {
        "algorithms.md": [
            (r"Up to (\d+) float64 scalars ride behind each header", MAX_SCALARS),
            (r"A message is a header of (\d+) bytes", HEADER_BYTES),
            (r"Payloads travel in segments of (\d+) KiB", SEGMENT_BYTES // 1024),
            (r"every (\d+) ms it asks the liveness client", round(1000 * _CHECK_EVERY_S)),
        ],
        "0001-tallies-ride-in-the-headers.md": [
            (r"Up to (\d+) fit", MAX_SCALARS),
            (r"a scalar: (five), and two a metric", {5: "five"}[BatchSums(0).sums.size]),
        ],
        "faults.md": [
            (r"A worker whose connection breaks has (\d+) s", round(RECONNECT_S)),
            (r"`--ps-timeout` \((\d+)\)", 30),
        ],
    }
    for name, numbers in stated.items():
        for pattern, expected in numbers:
            (found,) = re.findall(pattern, " ".join(texts[name].split()))
            assert found == str(expected), (name, pattern)


def test_the_table_of_keras_names_is_that_of_the_code():
    spec = importlib.util.spec_from_file_location("keras_table", ROOT / "scripts" / "keras_table.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    assert (ROOT / "docs" / "keras.md").read_text() == table.page(), "run scripts/keras_table.py"


def test_links_of_the_documents_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"
