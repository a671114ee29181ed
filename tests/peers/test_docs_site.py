"""The site of the documentation is built by one command, which finds links that lead nowhere."""

import shutil
import subprocess

import pytest
from helpers.mpi import ROOT

pytestmark = pytest.mark.timeout(300)


def test_the_site_is_built_and_a_broken_link_is_found(tmp_path):
    built = subprocess.run([ROOT / "scripts" / "docs"], capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stdout + built.stderr
    site = ROOT / "site"
    assert "Data-parallel" in (site / "index.html").read_text()
    assert "MirroredStrategy" in (site / "api" / "index.html").read_text()
    assert (site / "adr" / "0006-parameter-server-log" / "index.html").exists()

    pages = tmp_path / "pages"
    shutil.copytree(ROOT / "site-pages", pages)
    page = pages / "faults.md"
    page.write_text(page.read_text() + "\n[nowhere](no-such-page.md) [here](environment.md#no-such-part)\n")
    config = (ROOT / "mkdocs.yml").read_text().replace("docs_dir: site-pages", f"docs_dir: {pages}")
    (tmp_path / "mkdocs.yml").write_text(config.replace("paths: [.]", f"paths: [{ROOT}]"))
    mkdocs = ROOT / ".venv-docs" / "bin" / "mkdocs"
    bad = subprocess.run(
        [mkdocs, "build", "--strict", "-f", tmp_path / "mkdocs.yml", "-d", tmp_path / "site"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert bad.returncode
    assert "no-such-page.md" in bad.stderr
    assert "#no-such-part" in bad.stderr
