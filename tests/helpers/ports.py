"""Where processes listen, as the kernel tells."""

import os
from pathlib import Path

_LISTEN = "0A"
EVERYWHERE = ("0" * 8, "0" * 32)
"""0.0.0.0 and [::], as the kernel writes them."""


def listening(pids) -> dict[int, set[str]]:
    """`ADDRESS:PORT SOCKET`, in the kernel's hexadecimal, by process; those that listen nowhere are left out.

    The socket's number is its own: another process may come to the same port a moment later.
    """
    found = {}
    for pid in pids:
        inodes, sockets = set(), {}
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                target = os.readlink(descriptor)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
            for table in ("tcp", "tcp6"):
                for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                    fields = line.split()
                    if fields[3] == _LISTEN:
                        sockets[fields[9]] = f"{fields[1]} {fields[9]}"
        except OSError:
            continue  # it has ended
        if mine := {sockets[inode] for inode in inodes & set(sockets)}:
            found[pid] = mine
    return found


def listening_now() -> set[str]:
    """All that this host listens on."""
    tables = (Path(f"/proc/net/{table}").read_text().splitlines()[1:] for table in ("tcp", "tcp6"))
    fields = [line.split() for lines in tables for line in lines]
    return {f"{each[1]} {each[9]}" for each in fields if each[3] == _LISTEN}


def everywhere(pids) -> dict[int, str]:
    """The command lines of those that listen on all addresses."""
    return {
        pid: Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        for pid, sockets in listening(pids).items()
        if any(each.partition(":")[0] in EVERYWHERE for each in sockets)
    }
