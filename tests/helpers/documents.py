"""What the documents tell people to type, and what the cluster of the README must have left behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

LIMIT_S = 120.0
"""From a clone to the end of a cluster of all roles."""

ROLES = {"chief 0", "worker 0", "worker 1", "ps 0", "evaluator 0"}
"""Of the cluster that the README starts."""

# `.ci/run` runs these two; the first runs the tests of the documents.
_RUN_BY_CI = re.compile(r"^\./scripts/test(_peers)?\b")


def commands_of(document: Path) -> list[str]:
    """The commands of a document, without their comments, in their order."""
    lines = [
        line
        for language, text in BLOCK.findall(document.read_text())
        if language == "sh"
        for line in text.splitlines()
    ]
    commands = [re.sub(r"\s+#.*", "", line).strip() for line in lines]
    return [command for command in commands if command and not _RUN_BY_CI.match(command)]


def starts_all_roles(command: str) -> bool:
    """Whether this is the command of the README that starts a cluster."""
    return command.startswith("distrib launch cluster_configs/local_all_roles.toml")


def assert_all_roles_ran(clone: Path) -> None:
    """The cluster of the README has left logs in which every role has done its work, and ended with 0."""
    logs = max((path.parent for path in clone.glob("runs/*/ps-0.log")), key=lambda each: each.stat().st_mtime)
    outcome = json.loads((logs / "result.json").read_text())
    assert outcome["tasks"] == dict.fromkeys(ROLES, 0), outcome
    said = {name: (logs / f"{name.replace(' ', '-')}.log").read_text() for name in ROLES}
    assert "test accuracy" in said["chief 0"], said["chief 0"]
    assert len(re.findall(r"^worker [012] +[1-9]", said["chief 0"], re.MULTILINE)) == 3, "three have pushed"
    assert "ps listens on" in said["ps 0"], said["ps 0"]
    assert re.search(r"ckpt-5: val_\w+: \d", said["evaluator 0"]), said["evaluator 0"]
