"""Several hosts on one machine, each with its own network, host name, shared memory and mounts.

Needs root, iproute2 and util-linux.

A host is a process that holds the namespaces; programs are started in them with nsenter. The hosts' links meet in a
bridge in a namespace of its own, so nothing of the machine's network is touched; a link may be slowed down.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

_NETWORK = "10.77.0"


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
    """

    def __init__(self, count: int, rate: str = "") -> None:
        self.names = [f"h{index + 1}" for index in range(count)]
        self._rate = rate
        self._switch = f"dt{os.getpid()}s"
        self._namespaces = {name: f"dt{os.getpid()}{name}" for name in self.names}
        self._holders: list[subprocess.Popen[str]] = []
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
        cases = ""
        for index, (name, namespace) in enumerate(self._namespaces.items(), 1):
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
            become = ["ip", "netns", "exec", namespace, "unshare", "--uts", "--ipc", "--mount", "bash", "-c"]
            setup = (
                f"hostname {name}; mount -t tmpfs tmpfs /dev/shm; "
                f"mount --bind {self._folder}/hosts /etc/hosts; echo ready; exec sleep infinity"
            )
            holder = subprocess.Popen([*become, setup], stdout=subprocess.PIPE, text=True)
            self._holders.append(holder)
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            cases += f"  {name}) pid={holder.pid} ;;\n"
        self.agent.write_text(
            "#!/bin/bash\n# [OPTIONS] HOST COMMAND...: as ssh would\n"
            f"while [[ $1 == -* ]]; do shift; done\nhost=$1; shift\ncase $host in\n{cases}esac\n"
            f'exec nsenter -t "$pid" -n -u -i -m --wd={os.getcwd()} bash -c "$*"\n'
        )
        self.agent.chmod(0o755)

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
        for index, holder in enumerate(self._holders[:], 1):
            become = ["nsenter", "-t", str(holder.pid), "-n", "-u", "-i", "-m"]
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
        command = ["ip", "netns", "pids", self._namespaces[name]]
        return set(
            map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        )

    def set_link(self, name: str, state: str) -> None:
        """Let a host's link go `down` or `up`."""
        _ip("-n", self._namespaces[name], "link", "set", f"v{name.removeprefix('h')}", state)

    def __exit__(self, *exception: object) -> None:
        for holder in reversed(self._holders):
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            for stream in (holder.stdout, holder.stderr):
                if stream is not None:
                    stream.close()
        for namespace in (*self._namespaces.values(), self._switch):
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


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
