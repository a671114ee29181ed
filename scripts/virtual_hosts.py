"""Several hosts on one machine, each with its own network, host name, shared memory and mounts.

Needs root, iproute2 and util-linux.

A host is a process that holds the namespaces; programs are started in them with nsenter. The hosts' links meet in a
bridge in a namespace of its own, so nothing of the machine's network is touched; a link may be slowed down.

With processes of their own they cannot share memory either, as real hosts cannot: nobody sees another host's
processes in /proc. From inside such a host the others are reached by ssh only, not by the agent.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

_NETWORK = "10.77.0"

_ENTER = """\
# HOST COMMAND...: as ssh would. Signals are handed on, and the command does not outlive this.
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = HOLDERS[sys.argv[1]]
kinds = ("pid", "net", "uts", "ipc", "mnt")
spaces = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]
def enter(space):
    if libc.setns(space, 0):
        raise OSError(ctypes.get_errno(), "setns")
enter(spaces[0])  # what is forked from now on is in there
child = os.fork()
if not child:
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    for space in spaces[1:]:
        enter(space)
    os.chdir(FOLDER)
    os.execvp("bash", ["bash", "-c", " ".join(sys.argv[2:])])
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda number, _: os.kill(child, number))
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def why_not() -> str:
    """Why this machine cannot have them; empty if it can."""
    if os.geteuid():
        return "root"
    missing = [tool for tool in ("ip", "tc", "nsenter", "unshare") if shutil.which(tool) is None]
    return " ".join(missing)


class Hosts:
    """`count` hosts, called h1, h2, ..., while the context lasts.

    Args:
        count: how many.
        rate: what each link carries in each direction, such as `1gbit`; unlimited by default.
        own_processes: whether each has processes of its own, too.
    """

    def __init__(self, count: int, rate: str = "", own_processes: bool = False) -> None:
        self.names = [f"h{index + 1}" for index in range(count)]
        self._rate, self._own_processes = rate, own_processes
        self._switch = f"dt{os.getpid()}s"
        self.namespaces = {name: f"dt{os.getpid()}{name}" for name in self.names}
        self._holders: list[subprocess.Popen[str]] = []
        self._pids: dict[str, int] = {}  # of a process in each
        self._folder = Path(tempfile.mkdtemp(prefix="distrib-hosts-"))
        self.agent = self._folder / "agent"

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self) -> None:
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")
        table = "127.0.0.1 localhost\n"
        for index, name in enumerate(self.names, 1):
            table += f"{_NETWORK}.{index} {name}\n"
        (self._folder / "hosts").write_text(table)
        for index, (name, namespace) in enumerate(self.namespaces.items(), 1):
            inside, port = f"v{index}", f"p{index}"
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
            ends = ["type", "veth", "peer", "name", port, "netns", self._switch]
            _ip("link", "add", inside, "netns", namespace, *ends)
            _ip("-n", self._switch, "link", "set", port, "master", "br0", "up")
            _ip("-n", namespace, "addr", "add", f"{_NETWORK}.{index}/24", "dev", inside)
            _ip("-n", namespace, "link", "set", inside, "up")
            if self._rate:
                limit = ["tbf", "rate", self._rate, "burst", "256kb", "latency", "50ms"]
                command = ["ip", "netns", "exec", namespace, "tc", "qdisc", "add", "dev", inside, "root"]
                subprocess.run([*command, *limit], check=True)
            become = ["ip", "netns", "exec", namespace, "unshare", "--uts", "--ipc", "--mount"]
            if self._own_processes:
                become += ["--pid", "--fork", "--kill-child", "--mount-proc"]
            setup = (
                f"hostname {name}; mount -t tmpfs tmpfs /dev/shm; "
                f"mount --bind {self._folder}/hosts /etc/hosts; echo ready; "
                + ("sleep infinity; exit" if self._own_processes else "exec sleep infinity")
            )  # the first process of a host is bash, which takes in orphans
            holder = subprocess.Popen([*become, "bash", "-c", setup], stdout=subprocess.PIPE, text=True)
            self._holders.append(holder)
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            self._pids[name] = _child_of(holder.pid) if self._own_processes else holder.pid
        self.agent.write_text(self._agent())
        self.agent.chmod(0o755)

    def _agent(self) -> str:
        """A program that runs a command on a host."""
        if self._own_processes:
            begin = f"#!{sys.executable} -IS\nHOLDERS, FOLDER = {self._pids!r}, {os.getcwd()!r}\n"
            return begin + _ENTER
        cases = "".join(f"  {name}) pid={pid} ;;\n" for name, pid in self._pids.items())
        return (
            "#!/bin/bash\n# [OPTIONS] HOST COMMAND...: as ssh would\n"
            f"while [[ $1 == -* ]]; do shift; done\nhost=$1; shift\ncase $host in\n{cases}esac\n"
            f'exec nsenter -t "$pid" -n -u -i -m --wd={os.getcwd()} bash -c "$*"\n'
        )

    def start_sshd(self) -> Path:
        """Let every host be reached by ssh; returns the configuration for ssh, a file."""
        Path("/run/sshd").mkdir(exist_ok=True)
        for name in ("host_key", "key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / name)]
            subprocess.run(command, check=True)
        options = {
            "PidFile": "none",
            "AuthorizedKeysFile": self._folder / "key.pub",
            "StrictModes": "no",
            "PermitRootLogin": "yes",
            "UsePAM": "no",
        }
        flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        for index, pid in enumerate(self._pids.values(), 1):
            become = ["nsenter", "-t", str(pid), "-n", "-u", "-i", "-m", *["-p"] * self._own_processes]
            listen = ["-o", f"ListenAddress={_NETWORK}.{index}", "-h", str(self._folder / "host_key")]
            command = [*become, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *listen, *flags]
            daemon = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            self._holders.append(daemon)
            assert daemon.stderr is not None
            assert "Server listening" in daemon.stderr.readline()
        config = self._folder / "ssh_config"
        config.write_text(
            f"Host *\n  IdentityFile {self._folder}/key\n  IdentitiesOnly yes\n  StrictHostKeyChecking no\n"
            "  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
        )
        return config

    def pids(self, name: str) -> set[int]:
        """The processes in a host's network."""
        command = ["ip", "netns", "pids", self.namespaces[name]]
        return set(
            map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        )

    def set_link(self, name: str, state: str) -> None:
        """Let a host's link go `down` or `up`."""
        _ip("-n", self.namespaces[name], "link", "set", f"v{name.removeprefix('h')}", state)

    def __exit__(self, *exception: object) -> None:
        for holder in reversed(self._holders):
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            for stream in (holder.stdout, holder.stderr):
                if stream is not None:
                    stream.close()
        if self._own_processes:  # theirs are killed with the first process of a host, in a moment
            deadline = time.monotonic() + 5
            while any(map(_lives, self._pids.values())) and time.monotonic() < deadline:
                time.sleep(0.01)
        for namespace in (*self.namespaces.values(), self._switch):
            subprocess.run(["ip", "netns", "del", namespace], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def mpirun(self, folder: Path, ranks_per_host: int) -> list[str]:
        """How to start a program of the environment `folder` on all hosts, from the first one."""
        where = ",".join(f"{name}:{ranks_per_host}" for name in self.names)
        agent = str(self.agent)
        if (folder / "bin" / "mpiexec.hydra").exists():  # MPICH
            options = ["-launcher", "ssh", "-launcher-exec", agent, "-hosts", where]
        else:
            options = ["--prefix", str(folder), "--mca", "plm_rsh_agent", agent, "--host", where]
            options += ["--mca", "mpi_yield_when_idle", "1", "--bind-to", "none"]
        ranks = ranks_per_host * len(self.names)
        python = str(folder / "bin" / "python")
        return [agent, self.names[0], str(folder / "bin" / "mpirun"), *options, "-n", str(ranks), python]


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
