"""Restart loop: attempts to run a plan, until one succeeds or a restart would not help.

A start that ends because a peer is lost (75) is worth another, `max_restarts` times: scripts go on from their last
checkpoint. Starts that fail within seconds are delayed, 1 s, 2 s, 4 s, and the next such failure is the end; a task
that is killed three times in a row is the end too: something on its host kills it, such as too little memory.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

from distrib.base.errors import PeerLostError
from distrib.launch.plan import Plan
from distrib.launch.run.attempt import Attempt
from distrib.launch.run.backoff import Backoff
from distrib.launch.run.console import say
from distrib.launch.run.process_group import ProcessGroup
from distrib.launch.run.result import Result
from distrib.launch.run.root_cause import Failure, root_cause
from distrib.launch.run.task_logs import LogFile
from distrib.launch.settings import Settings

_KILLS_IN_A_ROW = 3
_UNREACHABLE = 69


def run(plan: Plan, settings: Settings, name: str, max_restarts: int) -> int:
    """Start the plan until it has ended; returns the exit code, and leaves `result.json` among the logs.

    Args:
        plan: what to start.
        settings: how.
        name: of the run.
        max_restarts: how often at most it may be started again.
    """
    causes: list[Failure] = []
    with ProcessGroup() as group:
        for result in _starts(group, plan, settings, name, max_restarts, causes):
            last = result
    code = _code(last, causes)
    outcome = {
        "run": name,
        "code": code,
        "starts": len(causes) + (not last.failures),
        "seconds": last.seconds,
        "tasks": last.codes,
    }
    descriptions = [f"{each.task} on {each.host} {each.message}" for each in causes]
    text = json.dumps({**outcome, "causes": descriptions, "signal": last.stopped_by}, indent=2)
    file = LogFile(settings.log_dir / "result.json", truncate=True)
    file.write(f"{text}\n".encode())
    file.close()
    _tell(last, causes, code, settings.log_dir)
    return code


def _starts(
    group: ProcessGroup, plan: Plan, settings: Settings, name: str, left: int, causes: list[Failure]
) -> Iterator[Result]:
    backoff = Backoff()
    for number in range(1, left + 2):
        start = Attempt(group, plan, settings, (name, number), left)
        result = start.go()
        left = start.restarts_left
        yield result
        if not result.failures:
            return
        cause = root_cause(result.failures)
        causes.append(cause)
        delay = backoff.delay(result.seconds)
        if not cause.is_worth_a_restart or not left or delay is None or _is_killed_again(causes):
            return
        left -= 1
        say(f"{cause.report()}")
        say(f"All tasks start again in {delay:g} s; restarts left: {left}.")
        if group.wait(lambda: any(each != signal.SIGUSR1 for each in group.signals), delay):
            result.stopped_by = group.signals[-1]
            return


def _is_killed_again(causes: list[Failure]) -> bool:
    last = causes[-_KILLS_IN_A_ROW:]
    same = len({each.task for each in last}) == 1 and all(each.was_killed for each in last)
    return same and len(last) == _KILLS_IN_A_ROW


def _code(last: Result, causes: list[Failure]) -> int:
    if last.stopped_by:
        if last.has_ended_well:
            return 0
        has_saved = last.has_finished and last.stopped_by != signal.SIGINT
        return PeerLostError.exit_code if has_saved else 128 + last.stopped_by
    if not last.failures:
        return 0
    return _UNREACHABLE if _is_killed_again(causes) else causes[-1].code


def _tell(last: Result, causes: list[Failure], code: int, folder: Path) -> None:
    if last.stopped_by:
        how = "all tasks have saved and ended" if last.has_finished else "the tasks did not end well in time"
        how = "all tasks have come to their end" if last.has_ended_well else how
        say(f"{signal.Signals(last.stopped_by).name}: {how}. Logs: {folder}")
    elif causes and last.failures:
        for number, cause in enumerate(causes[:-1], 1):
            say(f"start {number}: {cause.task} on {cause.host} {cause.message}.")
        if _is_killed_again(causes):
            say(
                f"{causes[-1].task} was killed {_KILLS_IN_A_ROW} times in a row: does its host have enough memory?"
            )
        say(causes[-1].report())
