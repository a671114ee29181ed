"""What checks have found."""

from __future__ import annotations

from typing import NamedTuple


class Result(NamedTuple):
    """The answer of one check.

    Attributes:
        check: its name.
        is_ok: whether the model has passed.
        sentence: what was found.
        hint: what to look at, if it has not.
    """

    check: str
    is_ok: bool
    sentence: str
    hint: str = ""

    def __str__(self) -> str:
        line = f"{'ok  ' if self.is_ok else 'FAIL'} {self.check}: {self.sentence}"
        return line if self.is_ok or not self.hint else f"{line}\n     {self.hint}"


class Report:
    """The answers of all checks.

    Args:
        results: in their order.
    """

    def __init__(self, results: list[Result]) -> None:
        self.results = results

    @property
    def is_ok(self) -> bool:
        """Whether the model has passed all checks."""
        return all(result.is_ok for result in self.results)

    @property
    def failed(self) -> list[str]:
        """The names of the checks that it has not passed."""
        return [result.check for result in self.results if not result.is_ok]

    def __str__(self) -> str:
        return "\n".join(map(str, self.results))
