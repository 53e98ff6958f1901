"""Subclasses of `Network` that create their populations in an ``__init__`` of their own, as in ANNarchy.

Such an ``__init__`` may begin to create at once: the network is ready before it runs, whether or not it calls
``super().__init__()``. `dt` and `seed` may be given to every subclass by name. Where its ``__init__`` does not take
them, they become settings of the network, and count more than what it gives to ``super().__init__()``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

# Attribute of a network: the settings that were given to a subclass which does not take them.
_TAKEN = "_settings_taken"


def ready_before(init: Callable[..., None], base_init: Callable[[Any], None]) -> Callable[..., None]:
    """Let the ``__init__`` of a subclass begin with a network that is ready: `base_init` has run.

    Parameters
    ----------
    init
        That of the subclass.
    base_init
        That of `Network`.
    """
    parameters = inspect.signature(init).parameters
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    words = () if takes_all else tuple({"dt", "seed"} - parameters.keys())

    @functools.wraps(init)
    def call(network: Any, *args: Any, **kwargs: Any) -> None:
        taken = {word: kwargs.pop(word) for word in words if word in kwargs}
        if taken or not is_ready(network):
            given = {word: value for word, value in taken.items() if value is not None}
            object.__setattr__(network, _TAKEN, {**settings_taken(network), **given})
            base_init(network)
        init(network, *args, **kwargs)

    return call


def is_ready(network: Any) -> bool:
    """Whether the ``__init__`` of `Network` has run."""
    return "_assembly" in vars(network)


def settings_taken(network: Any) -> Mapping[str, Any]:
    """Return the settings that were given to a subclass which does not take them."""
    taken: Mapping[str, Any] = vars(network).get(_TAKEN, {})
    return taken
