"""Jobs of a real Slurm with two nodes."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from helpers.mpi import ENVIRONMENTS, ROOT, available
from helpers.slurm import Slurm, until
from launch.test_supervisor import progress

PROGRAM = ROOT / "tests" / "launch" / "programs" / "ends.py"
PMI = {"openmpi": "pmix", "mpich": "pmi2"}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def slurm():
    folder = tempfile.mkdtemp(prefix="slurm-", dir="/tmp")  # short: sockets are made in it
    running = Slurm(Path(folder) / "s")
    running.environ["PYTHONPATH"] = str(ROOT)
    try:
        yield running
    finally:
        running.close()
        shutil.rmtree(folder)


def python_of(mpi):
    return ENVIRONMENTS[mpi] / "bin" / "python"


def batch(folder, *lines):
    """A batch script; its output goes to `out` below the folder."""
    file = folder / "job.sbatch"
    file.write_text(
        "\n".join(["#!/bin/bash", f"#SBATCH --output={folder}/out", "#SBATCH --open-mode=append", *lines])
    )
    return file


@pytest.mark.parametrize("mpi", available())
def test_mpirun_in_a_batch_script_uses_both_nodes(slurm, tmp_path, mpi):
    mpirun = python_of(mpi).with_name("mpirun")
    nodes = f"{mpirun} -n 2 bash -c 'echo node $SLURMD_NODENAME'"
    train = f"{mpirun} -n 2 {python_of(mpi)} {PROGRAM} none {tmp_path}"
    job = slurm.submit("-N2", "--ntasks-per-node=1", batch(tmp_path, nodes, train))
    assert slurm.wait(job) == "COMPLETED 0:0", (tmp_path / "out").read_text()
    output = (tmp_path / "out").read_text()
    assert {"node n1", "node n2"} <= set(output.splitlines())
    assert output.count("END OF SCRIPT") == 2


@pytest.mark.parametrize("mpi", available())
def test_srun_starts_ranks_that_find_each_other(slurm, tmp_path, mpi):
    ended = slurm.run("srun", "-N2", "-n2", f"--mpi={PMI[mpi]}", python_of(mpi), PROGRAM, "none", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("END OF SCRIPT") == 2
    assert ended.stdout.count("weights") == 1, "one chief"


def test_plain_srun_is_refused_with_advice(slurm, tmp_path):
    ended = slurm.run("srun", "-N2", "-n2", python_of("openmpi"), PROGRAM, "none", tmp_path)
    assert ended.returncode == 64
    assert "srun started 2 processes, of which this is number" in ended.stderr
    assert "with srun --mpi=pmix where the MPI is Open MPI" in ended.stderr
    assert "END OF SCRIPT" not in ended.stdout


@pytest.mark.parametrize("mpi", available())
def test_scancel_usr1_saves_and_training_goes_on(slurm, tmp_path, mpi):
    job = slurm.submit(
        "-N2", "-n2", batch(tmp_path, f"srun --mpi={PMI[mpi]} {python_of(mpi)} {PROGRAM} slow {tmp_path}")
    )
    until(lambda: len(list(tmp_path.glob("trains-*"))) == 2, "both train")
    assert progress(tmp_path) == (0, 0)
    assert slurm.run("scancel", "-s", "USR1", job).returncode == 0
    until(lambda: (progress(tmp_path) or (0, 0)) > (0, 0), "it saves")
    assert slurm.wait(job) == "COMPLETED 0:0", (tmp_path / "out").read_text()


@pytest.mark.parametrize("mpi", available())
def test_scancel_term_saves_and_ends_with_75(slurm, tmp_path, mpi):
    job = slurm.submit(
        "-N2", "-n2", batch(tmp_path, f"srun --mpi={PMI[mpi]} {python_of(mpi)} {PROGRAM} wait {tmp_path}")
    )
    until(lambda: len(list(tmp_path.glob("trains-*"))) == 2, "both train")
    assert slurm.run("scancel", "-s", "TERM", job).returncode == 0
    assert slurm.wait(job) == "FAILED 75:0", (tmp_path / "out").read_text()
    assert progress(tmp_path) > (0, 0)
    assert "died" not in (tmp_path / "out").read_text()


@pytest.mark.parametrize("name", ["TERM", "USR1"])
def test_a_job_that_is_signalled_by_slurm_and_requeued_ends_with_the_same_bytes(slurm, tmp_path, name):
    """After TERM the script starts itself again; after USR1 training goes on.

    Slurm looks at time limits every 30 s, and sends what is due by the next look: here 15 to 45 s after the start.
    """
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    start = f"srun -n2 --mpi=pmix {python_of('openmpi')} {PROGRAM} slow"
    whole = slurm.submit("-N2", "-n2", batch(tmp_path / "whole", f"{start} {tmp_path}/whole"))
    assert slurm.wait(whole) == "COMPLETED 0:0"
    again = 'code=$?; echo CODE $code; [ $code -ne 75 ] || scontrol requeue "$SLURM_JOB_ID"; exit $code'
    slower = 'export SLOWER=$([ -n "$SLURM_RESTART_COUNT" ] && echo 0.01 || echo 0.2)'
    file = batch(tmp_path / "parts", slower, f"{start} {tmp_path}/parts", again)
    parts = slurm.submit("-N2", "-n2", "--requeue", "--time=2", f"--signal={name}@75", file)
    output = tmp_path / "parts" / "out"
    if name == "TERM":
        until(lambda: output.exists() and "CODE 75" in output.read_text(), "Slurm has sent it", 90)
    else:
        until(lambda: (progress(tmp_path / "parts") or (0, 0)) > (0, 0), "Slurm has sent it", 90)
        assert "CODE" not in output.read_text(), "it goes on"
        assert slurm.run("scontrol", "requeue", parts).returncode == 0
    assert progress(tmp_path / "parts") > (0, 0)
    until(lambda: "CODE 0" in output.read_text(), "it has gone on", 90)
    expected = (tmp_path / "whole" / "out").read_text().partition("weights ")[2].split()[0]
    assert output.read_text().partition("weights ")[2].split()[0] == expected
    assert ("CODE 75" in output.read_text().partition("weights ")[0]) == (name == "TERM")


@pytest.mark.parametrize("mpi", available())
def test_the_launcher_works_inside_of_an_allocation(slurm, tmp_path, mpi):
    command = [python_of(mpi), "-m", "distrib", "launch", "-n", "2", "--log-dir", tmp_path / "logs"]
    ended = slurm.run("salloc", "-N1", "-n1", *command, PROGRAM, "none", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads((tmp_path / "logs" / "result.json").read_text())["tasks"]["worker 0"] == 0


EXAMPLES = {"mirrored": 2, "central_storage": 2, "parameter_server": 3}


def test_every_strategy_has_an_example():
    assert {path.stem for path in (ROOT / "examples" / "slurm").glob("*.sbatch")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_train(slurm, tmp_path, name):
    """As they stand, from a folder like the project's."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    figures = tmp_path / "figures.json"
    flags = ["--dataset", "digits", "--epochs", "3", "--json", figures]
    strategy = ["--strategy", "ps-async"] if name == "parameter_server" else []
    job = slurm.submit(
        f"--chdir={tmp_path}", f"--output={tmp_path}/out", tmp_path / "examples" / "slurm" / f"{name}.sbatch",
        *strategy, *flags, VENV=str(ENVIRONMENTS["openmpi"]),
    )  # fmt: skip
    assert slurm.wait(job, 90) == "COMPLETED 0:0", (tmp_path / "out").read_text()
    told = json.loads(figures.read_text())
    assert told["num_replicas"] == EXAMPLES[name]
    assert told["test_accuracy"] > 0.5
