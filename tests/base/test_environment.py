"""Environment variables: one module reads them, and one page documents them."""

import ast
import re

import pytest
from helpers.mpi import ROOT

from distrib.base import environment
from distrib.base.errors import ConfigError

OURS = re.compile(r"DISTRIB_|TF_CONFIG$|OMPI_COMM|PMI|SLURM_|RANK$|WORLD_SIZE$")
STARTED_ALONE = {"mpirun_ssh.py"}  # runs without the package


def reads(text):
    """The lines that read a variable of ours, or of a launcher, by its name."""
    for node in ast.walk(ast.parse(text)):
        name = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            name, owner = node.slice, node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "os.getenv":
            name, owner = node.args[0], ast.Name("environ")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            name, owner = node.args[0], node.func.value
        if isinstance(name, ast.Constant) and OURS.match(str(name.value)):
            if ast.unparse(owner).endswith("environ"):
                yield node.lineno


def test_one_module_reads_them():
    found = {
        path.name: lines
        for path in (ROOT / "distrib").rglob("*.py")
        if path.name not in STARTED_ALONE and (lines := list(reads(path.read_text())))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        'os.environ.get("DISTRIB_DEBUG")',
        'os.environ["TF_CONFIG"]',
        'environ.get("OMPI_COMM_WORLD_RANK", "0")',
        'os.getenv("DISTRIB_JIT")',
    ],
)
def test_another_reader_is_found(line):
    assert list(reads(f"import os\nx = {line}\n")) == [2]


def test_the_page_has_every_variable():
    page = (ROOT / "docs" / "environment.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", page, re.M)
    expected = [
        (each.name, f"`{each.default}`" if each.default else "", each.meaning)
        for each in environment.VARIABLES
    ]
    assert [row for row in rows if OURS.match(row[0]) and "RANK" not in row[0]] == expected
    for _, rank, size in environment.LAUNCHERS:
        assert f"`{rank}`" in page
        assert f"`{size}`" in page


def test_a_variable_that_is_empty_has_its_default(monkeypatch):
    monkeypatch.setenv("DISTRIB_JIT", "")
    assert environment.flag(environment.JIT)
    monkeypatch.setenv("DISTRIB_JIT", "0")
    assert not environment.flag(environment.JIT)


def test_seconds_that_are_none(monkeypatch):
    assert environment.seconds(environment.KEEPALIVE_S) == 1.0
    for text in ("0", "-1", "soon", "nan", "inf"):
        monkeypatch.setenv("DISTRIB_KEEPALIVE_S", text)
        with pytest.raises(ConfigError, match="DISTRIB_KEEPALIVE_S: expected seconds, above 0"):
            environment.seconds(environment.KEEPALIVE_S)
