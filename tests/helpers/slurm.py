"""A real Slurm with two nodes on this machine: munge, the controller and two daemons, in a folder of their own."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from conftest import missing

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "scancel", "squeue", "scontrol")

CONFIG = """
ClusterName=distrib-test
SlurmctldHost={host}({address})
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool.%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdParameters=config_overrides
TmpFS={folder}/tmp.%n
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=2,batch_sched_delay=0
KillWait=5
JobRequeue=1
NodeName=n1 NodeHostname={host} NodeAddr={address} Port={ports[1]} CPUs=4 RealMemory=2000
NodeName=n2 NodeHostname={host} NodeAddr={address} Port={ports[2]} CPUs=4 RealMemory=2000
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """The daemons, and commands with their configuration.

    Args:
        folder: for all their files; short, as sockets are in it.
    """

    def __init__(self, folder):
        if os.geteuid():
            missing("root")
        absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
        if absent:
            missing(f"Slurm ({', '.join(absent)})")
        self.folder = Path(folder)
        address = outside_address()
        if not address:
            missing("an address that is not loopback")
        for name in ("state", "spool.n1", "spool.n2", "tmp.n1", "tmp.n2"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        ports = free_ports(3)
        config = CONFIG.format(host=socket.gethostname(), address=address, folder=self.folder, ports=ports)
        (self.folder / "slurm.conf").write_text(config)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        self.environ = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("OMPI_", "PMI", "PRTE_"))
            },
            "PATH": PATH,
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        }
        self._daemons = []
        try:
            self._start(
                "munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", f"--key-file={key}",
                f"--pid-file={self.folder}/munge.pid", f"--seed-file={self.folder}/munge.seed",
                f"--log-file={self.folder}/munge.log",
            )  # fmt: skip
            until(lambda: (self.folder / "munge.socket").exists(), "munged listens")
            self._start("slurmctld", "-D", "-c")
            for node in ("n1", "n2"):
                self._start("slurmd", "-D", "-N", node)
            until(
                lambda: self.run("sinfo", "-h", "-o", "%D %t").stdout.split() == ["2", "idle"],
                "both nodes are idle",
            )
        except BaseException:
            self.close()
            raise

    def _start(self, *command):
        log = (self.folder / f"{command[0]}.out").open("ab")
        with log:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    env=self.environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def run(self, *command, timeout=60, **variables):
        """A command of Slurm, to its end."""
        return subprocess.run(
            list(map(str, command)),
            env={**self.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def submit(self, *arguments, **variables):
        """`sbatch`; returns the number of the job."""
        ended = self.run("sbatch", "--parsable", *arguments, **variables)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def state(self, job):
        """Its state and exit code, as `COMPLETED 0:0`."""
        told = self.run("scontrol", "-o", "show", "job", job).stdout
        fields = dict(word.split("=", 1) for word in told.split() if "=" in word)
        return f"{fields.get('JobState')} {fields.get('ExitCode')}"

    def wait(self, job, seconds=60):
        """Wait for the end of a job; its state and exit code."""
        ends = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        until(lambda: self.state(job).startswith(ends), f"job {job} ends", seconds)
        return self.state(job)

    def close(self):
        """End all jobs and daemons."""
        if len(self._daemons) > 1:
            self.run("scancel", "--full", "--signal=KILL", "--user=root")
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(daemon.pid, signal.SIGKILL)
                daemon.wait()


PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def until(condition, what, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def outside_address():
    """An address of this machine that is not loopback; empty if there is none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        address = probe.getsockname()[0]
    return "" if address.startswith("127.") else address


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
