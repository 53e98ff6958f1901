"""Errors beyond Python's own."""


class StateError(ValueError, RuntimeError):
    """The object cannot do this now: not connected yet, connected already, not compiled, compiled already."""
