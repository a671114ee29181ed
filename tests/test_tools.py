"""What developers run beside the tests: the workflow of CI, the hooks of commits, coverage."""

import json
import os
import subprocess
import sys
from pathlib import Path

from helpers.mpi import ROOT

BIN = Path(sys.executable).parent


def run(*command, **options):
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=50, cwd=ROOT, **options
    )


def check_workflow(path):
    return run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", path)


def test_the_workflow_fits_the_schema_of_github(tmp_path):
    workflows = list((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for path in workflows:
        checked = check_workflow(path)
        assert checked.returncode == 0, checked.stdout
    bad = tmp_path / "bad.yml"
    bad.write_text(workflows[0].read_text().replace("runs-on:", "run-on:"))
    assert check_workflow(bad).returncode


def test_the_workflow_runs_what_ci_runs():
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    assert ".ci/run" in text
    assert "./scripts/docs" in text


def test_the_hooks_of_commits_are_those_of_the_tests():
    checked = run(BIN / "pre-commit", "validate-config", env={**os.environ, "HOME": str(ROOT)})
    assert checked.returncode == 0, checked.stderr
    hooks, tests = ((ROOT / name).read_text() for name in (".pre-commit-config.yaml", "scripts/test"))
    for tool in ("ruff format", "ruff check", "mypy"):
        assert f"entry: .venv/bin/{tool}" in hooks
        assert f".venv/bin/{tool}" in tests


def test_coverage_counts_branches_in_processes_that_tests_start(tmp_path):
    (tmp_path / "test_small.py").write_text(
        "import subprocess, sys\n"
        "def test_small():\n"
        "    subprocess.run([sys.executable, '-m', 'distrib', '--version'], check=True)\n"
    )
    environ = {**os.environ, "COVERAGE_FILE": str(tmp_path / "data")}
    coverage, rc = BIN / "coverage", ROOT / "pyproject.toml"
    test = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path / "test_small.py")
    ran = run(coverage, "run", "--rcfile", rc, *test, env=environ)
    assert ran.returncode == 0, ran.stdout
    assert run(coverage, "combine", "--rcfile", rc, env=environ).returncode == 0
    report = tmp_path / "report.json"
    assert run(coverage, "json", "--rcfile", rc, "-o", report, env=environ).returncode == 0
    file = json.loads(report.read_text())["files"]["distrib/cli/main.py"]["summary"]
    assert file["covered_lines"] > 20
    assert file["num_branches"] > 0
