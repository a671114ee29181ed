"""TrainedVariables: which variables an optimizer trains, and which of them weight decay leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from weakref import WeakValueDictionary

from distrib.base.errors import ConfigError
from distrib.nn.variable import Variable


class TrainedVariables:
    """The variables of one optimizer.

    Args:
        owner: class name of the optimizer, for errors.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        # By their ids: entries go with their variables, so no id is that of another.
        self._trained: WeakValueDictionary[int, Variable] = WeakValueDictionary()
        self._trained_before: WeakValueDictionary[int, Variable] = WeakValueDictionary()
        self._undecayed: WeakValueDictionary[int, Variable] = WeakValueDictionary()
        self._pattern: re.Pattern[str] | None = None

    def claim(self, variables: Iterable[Variable], has_state: bool) -> bool:
        """Train these from now on.

        Returns:
            Whether they are those before; if not, their state begins anew.

        Raises:
            ConfigError: there is a state of some of them only, or there was one and others were trained since.
        """
        claimed = WeakValueDictionary({id(each): each for each in variables})
        if set(claimed) == set(self._trained):
            return True
        if not has_state:
            self.forget()
        self._trained_before.update(self._trained)
        if set(claimed) & set(self._trained_before):
            raise ConfigError(
                f"This {self._owner} has trained some of these variables together with others, and their state would "
                "be lost. Compile each model with an optimizer of its own, and with a new one where other variables "
                "are to be trained."
            )
        self._trained = claimed
        return False

    def forget(self) -> None:
        """There is no state yet."""
        self._trained, self._trained_before = WeakValueDictionary(), WeakValueDictionary()

    def exclude(self, variables: Iterable[Variable] | None, names: Iterable[str] | None) -> None:
        """Leave these out of weight decay; see `Optimizer.exclude_from_weight_decay`."""
        self._undecayed = WeakValueDictionary({id(each): each for each in variables or ()})
        self._pattern = re.compile("|".join(names)) if names else None

    def decays(self, variable: Variable) -> bool:
        """Whether weight decay is applied to a variable."""
        role = variable.name.rpartition("/")[2]
        return id(variable) not in self._undecayed and not (self._pattern and self._pattern.search(role))
