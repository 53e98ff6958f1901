"""`Monitor`: values of a population that are kept step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks.errors import NotCopyable
from ..checks.porting import ported
from ..population.population import Population, PopulationView
from ..simulation.tracks import Track, Tracks, summed_target
from ..state.part import Part


class Monitor(NotCopyable):
    """Keeps variables of a population, or of a view, at the end of steps.

    Parameters
    ----------
    obj : Population or PopulationView
        Whose values; of a view those of its units only.
    variables : str or list of str
        Names of variables and parameters, ``'r'`` among them, and sums such as ``'sum(exc)'``; the sum of a target
        that nobody feeds is 0.
    period : float, optional
        Time between two rows in ms, a whole number of steps. Default: every step.
    period_offset : float, optional
        In ms, a whole number of steps, less than the period. Default 0.
    start : bool
        Whether to record from the beginning, or from `start` on.
    name : str, optional
        Shown in messages; default: ``Monitor_`` and the name of the population.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    A row is kept at the end of the steps s (counted from 0) with ``(s - made) % period == period_offset``, in
    steps, as in ANNarchy: with a period of 10 steps those of the steps 0, 10, 20, ... `made` is the step at
    which the monitor was made, 0 if that was before ``compile()`` and after ``reset()``. Which steps are kept
    does not depend on how a run is cut.

    The rows of a run are allocated before its first step; a run that needs more memory than is free raises
    MemoryError with the numbers, and nothing has happened. What is free is what Linux says (``MemAvailable``;
    elsewhere what ``sysconf`` knows, on Windows and macOS nothing, so that the run is tried); limits of a
    container are not seen. A monitor that nobody holds records nothing: ``del`` gives its memory back.

    Examples
    --------
    >>> import weightsharing as ws
    >>> network = ws.Network()
    >>> clock = network.create(2, ws.Neuron(equations="r = t"))
    >>> monitor = network.monitor(clock, "r", period=2.0)
    >>> network.compile()
    >>> network.simulate(5.0)
    >>> monitor.get("r")
    array([[0., 0.],
           [2., 2.],
           [4., 4.]], dtype=float32)
    """

    @ported
    def __init__(
        self,
        obj: Population | PopulationView,
        variables: str | Sequence[str],
        period: float | None = None,
        period_offset: float | None = None,
        start: bool = True,
        name: str | None = None,
    ) -> None:
        if not isinstance(obj, (Population, PopulationView)):
            raise TypeError(f"obj is a {type(obj).__name__}; expected a Population or a PopulationView.")
        if not isinstance(start, (bool, np.bool_)):
            raise TypeError(f"start is {start!r}; expected True or False.")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name is a {type(name).__name__}; expected text.")
        self._object = obj
        part = Part(obj.ranks, obj.geometry) if isinstance(obj, PopulationView) else None
        self._tracks = Tracks(obj._units, part)
        names = self._names(variables)
        self._tracks.set_period(period, period_offset)
        self._name = name or f"Monitor_{obj._units.name}"
        for variable in names:
            self._tracks.by_name[variable] = Track(recording=bool(start))
        population = obj.population if isinstance(obj, PopulationView) else obj
        population._assembly.keepers.add(self._tracks)
        self._tracks.begin_in_run()

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property):
            raise AttributeError(f"{name!r} of a monitor cannot be assigned; use start(variables, period).")
        object.__setattr__(self, name, value)

    # --- What the user reads ---

    @property
    def name(self) -> str:
        """Name of the monitor."""
        return self._name

    @property
    def object(self) -> Population | PopulationView:
        """Population or view whose values are kept."""
        return self._object

    @property
    def period(self) -> float:
        """Time between two rows in ms."""
        period = self._tracks.period
        return self._tracks.units.context.dt if period is None else period

    @property
    def period_offset(self) -> float:
        """Place of the rows within a period in ms."""
        return self._tracks.offset

    @property
    def variables(self) -> list[str]:
        """Names of what is recorded."""
        return list(self._tracks.by_name)

    @property
    def size_in_bytes(self) -> int:
        """Memory of all rows that `get` has not taken away yet."""
        tracks = self._tracks
        return sum(rows.nbytes for track in tracks.by_name.values() for rows in track.so_far(tracks.now))

    def __repr__(self) -> str:
        return f"<Monitor {self.name!r} of {', '.join(self._tracks.by_name) or 'nothing'}, period {self.period} ms>"

    # --- When to record ---

    def start(self, variables: str | Sequence[str] | None = None, period: float | None = None) -> None:
        """Record from now on.

        Parameters
        ----------
        variables : str or list of str, optional
            Those that are recorded from now on, besides others; new ones are added. Default: all.
        period : float, optional
            New period in ms, counted from now, for all variables.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described; nothing has changed then.
        """
        names = self.variables if variables is None else self._names(variables)
        tracks = self._tracks
        with tracks.between_runs():
            if period is not None:
                tracks.set_period(period, tracks.offset)
                tracks.made = tracks.now
            for name in names:
                tracks.by_name.setdefault(name, Track()).recording = True

    def resume(self) -> None:
        """Record all variables again after `pause`."""
        self.start()

    def pause(self) -> None:
        """Record nothing until `resume`; what was recorded stays."""
        with self._tracks.between_runs():
            for track in self._tracks.by_name.values():
                track.recording = False

    def stop(self) -> None:
        """Record nothing any more and forget all rows and variables; ``start(variables)`` begins anew."""
        with self._tracks.between_runs():
            self._tracks.by_name.clear()

    # --- What was recorded ---

    def get(
        self,
        variables: str | Sequence[str] | None = None,
        keep: bool = False,
        reshape: bool = True,
        force_dict: bool = False,
    ) -> Any:
        """Return what was recorded, and empty the monitor.

        Parameters
        ----------
        variables : str or list of str, optional
            Default: all, as a dictionary.
        keep : bool
            Whether the rows stay in the monitor too; they are read-only then.
        reshape : bool
            Whether units have the axes of the geometry, or one axis.
        force_dict : bool
            Whether a single variable comes as a dictionary as well.

        Returns
        -------
        ndarray (rows, [batch], \\*geometry), or dict
            Of a view (rows, [batch], \\*view.geometry). What is common to all units has no axis for them, what
            is common to those of a filter the last one. Of a single variable the array itself, of several a
            dictionary of them. An array of one run is not copied, those of several are joined.

        Raises
        ------
        TypeError, ValueError
            If a variable is not recorded.
        """
        force_dict = force_dict or variables is None
        names = self.variables if variables is None else self._names(variables)
        self._check_recorded(names)
        with self._tracks.between_runs():
            found = {name: self._tracks.taken(name, keep, reshape) for name in names}
        return found if force_dict or len(names) != 1 else found[names[0]]

    def __getitem__(self, variables: str | Sequence[str]) -> Any:
        return self.get(variables)

    def times(self, variables: str | Sequence[str] | None = None) -> dict[str, dict[str, list[float]]]:
        """Return when the rows of the last `get` were recorded; before the first one, those there are so far.

        Parameters
        ----------
        variables : str or list of str, optional
            Default: all.

        Returns
        -------
        dict
            For each variable the lists ``'start'`` and ``'stop'``: recording went on from each start to the
            stop of the same place, in ms.

        Raises
        ------
        TypeError, ValueError
            If a variable is not recorded.
        """
        names = self.variables if variables is None else self._names(variables)
        self._check_recorded(names)
        dt = self._tracks.units.context.dt
        with self._tracks.between_runs():
            spans = {name: self._tracks.by_name[name].last_spans() for name in names}
        return {
            name: {"start": [start * dt for start, _ in found], "stop": [stop * dt for _, stop in found]}
            for name, found in spans.items()
        }

    # --- Checks ---

    def _names(self, variables: str | Sequence[str]) -> list[str]:
        listed = [variables] if isinstance(variables, str) else variables
        if not isinstance(listed, Sequence) or not all(isinstance(name, str) for name in listed):
            raise TypeError(f"variables is {variables!r}; expected a name, or a list of names.")
        units = self._tracks.units
        for name in listed:
            if name not in units.declared and summed_target(name) is None:
                raise ValueError(
                    f"variables: {units.name!r} has no {name!r}; expected one of "
                    f"{', '.join(units.declared)}, or a sum such as 'sum(exc)'."
                )
        return list(dict.fromkeys(listed))

    def _check_recorded(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._tracks.by_name:
                raise ValueError(
                    f"variables: {name!r} is not recorded by {self.name!r}, which has "
                    f"{', '.join(map(repr, self._tracks.by_name)) or 'none'}."
                )
