"""The catalogue of docs/faults.md: every fault that a test names has a row, and every row has a test."""

import re

from helpers.mpi import ROOT

PAGE = (ROOT / "docs" / "faults.md").read_text()
CODE = r"[A-ES]\d{1,2}"


def rows():
    return re.findall(rf"^\| .+ \| .+ \| ({CODE}) \|$", PAGE, re.M)


def named():
    """The faults that tests name: in the name of a function or class, or at the beginning of a docstring."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text()
        for name in re.findall(r"^ *(?:def|class) [Tt]est_?([a-es]\d\w*|[A-ES]\d+)", text, re.M):
            codes = re.match(r"(?:[a-es]\d+_?)+", name.lower())[0].split("_")
            found |= {code.upper() for code in codes if code}
        found |= set(re.findall(rf"\b({CODE})\b(?=[ ,.:;)])", text)) & set(rows())
    return found


def test_every_row_has_a_test_and_every_test_a_row():
    assert sorted(named() - set(rows())) == []
    assert sorted(set(rows()) - named()) == []
    assert len(rows()) == len(set(rows())) > 80
