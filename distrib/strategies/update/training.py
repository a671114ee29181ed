"""Training: what a strategy provides for one training, from its beginning to its end."""

from __future__ import annotations

from typing import NamedTuple

from distrib.strategies.update.coordination import Coordination
from distrib.strategies.update.feed import Feed
from distrib.strategies.update.updater import Updater


class Training(NamedTuple):
    """The parts of a strategy that take part in one training.

    Attributes:
        updater: combines gradients and updates the values.
        feed: hands out the examples and adds up what was measured.
        coordination: what the replicas decide and keep together.
    """

    updater: Updater
    feed: Feed
    coordination: Coordination
