"""`Monitor`: values of a population that are kept step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks.errors import NotCopyable
from .checks.memory import counted, free_memory
from .checks.numbers import finite_number, positive_number
from .checks.porting import ported
from .checks.shapes import Array, Shape
from .checks.times import whole_steps
from .description.schedule import Recording
from .population import Population
from .views import PopulationView

if TYPE_CHECKING:
    from .network import Network


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
        self._population = obj if isinstance(obj, Population) else obj.population
        self._tracks: dict[str, _Track] = {}
        self._made = self._network._steps_done
        self._period: float | None = None
        self._offset: float = 0.0
        names = self._names(variables)
        self._set_period(period, period_offset)
        self._name = name or f"Monitor_{self._population.name}"
        for variable in names:
            self._tracks[variable] = _Track(recording=bool(start))
        self._network._monitors.add(self)
        self._begin_in_run()

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
        return self._network.dt if self._period is None else self._period

    @property
    def period_offset(self) -> float:
        """Place of the rows within a period in ms."""
        return self._offset

    @property
    def variables(self) -> list[str]:
        """Names of what is recorded."""
        return list(self._tracks)

    @property
    def size_in_bytes(self) -> int:
        """Memory of all rows that `get` has not taken away yet."""
        return sum(rows.nbytes for track in self._tracks.values() for rows in track.so_far(self._now))

    def __repr__(self) -> str:
        return f"<Monitor {self.name!r} of {', '.join(self._tracks) or 'nothing'}, period {self.period} ms>"

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
        with self._between_runs():
            if period is not None:
                self._set_period(period, self._offset)
                self._made = self._now
            for name in names:
                self._tracks.setdefault(name, _Track()).recording = True

    def resume(self) -> None:
        """Record all variables again after `pause`."""
        self.start()

    def pause(self) -> None:
        """Record nothing until `resume`; what was recorded stays."""
        with self._between_runs():
            for track in self._tracks.values():
                track.recording = False

    def stop(self) -> None:
        """Record nothing any more and forget all rows and variables; ``start(variables)`` begins anew."""
        with self._between_runs():
            self._tracks.clear()

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
        with self._between_runs():
            rows = {name: self._tracks[name].take(keep) for name in names}
            found = {
                name: self._shaped(taken, self._row_shape(name, reshape)) for name, taken in rows.items()
            }
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
        dt = self._network.dt
        with self._between_runs():
            spans = {name: self._tracks[name].last_spans() for name in names}
        return {
            name: {"start": [start * dt for start, _ in found], "stop": [stop * dt for _, stop in found]}
            for name, found in spans.items()
        }

    # --- Checks ---

    def _names(self, variables: str | Sequence[str]) -> list[str]:
        listed = [variables] if isinstance(variables, str) else variables
        if not isinstance(listed, Sequence) or not all(isinstance(name, str) for name in listed):
            raise TypeError(f"variables is {variables!r}; expected a name, or a list of names.")
        for name in listed:
            if name not in self._population._declared() and _target(name) is None:
                raise ValueError(
                    f"variables: {self._population.name!r} has no {name!r}; expected one of "
                    f"{', '.join(self._population._declared())}, or a sum such as 'sum(exc)'."
                )
        return list(dict.fromkeys(listed))

    def _check_recorded(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._tracks:
                raise ValueError(
                    f"variables: {name!r} is not recorded by {self.name!r}, which has "
                    f"{', '.join(map(repr, self._tracks)) or 'none'}."
                )

    def _set_period(self, period: float | None, offset: float | None) -> None:
        dt = self._network.dt
        period = None if period is None else positive_number("period", period)
        offset = 0.0 if offset is None else finite_number("period_offset", offset)
        steps = 1 if period is None else whole_steps("period", period, dt)
        if steps < 1:
            raise ValueError(f"period is {period} ms; expected at least one step, {dt} ms.")
        if whole_steps("period_offset", offset, dt) >= steps:
            raise ValueError(
                f"period_offset is {offset} ms; expected less than the period, {dt if period is None else period} ms."
            )
        self._period, self._offset = period, offset

    # --- Shapes ---

    @property
    def _network(self) -> Network:
        return self._population.network

    @property
    def _now(self) -> int:
        return self._network._steps_done

    def _array(self, variable: str) -> Array:
        target = _target(variable)
        population = self._population
        return population._array(variable) if target is None else population._sum_array(target)

    def _is_local(self, variable: str) -> bool:
        return _target(variable) is not None or self._population._locality(variable) == "local"

    def _row_shape(self, variable: str, reshape: bool = True) -> Shape:
        """Shape of one row as the user gets it."""
        if not self._is_local(variable):
            own = self._population._own_shape(variable)
        else:
            own = self._object.geometry if reshape else (self._object.size,)
        return self._population._outer(own)

    def _shaped(self, rows: Array | None, shape: Shape) -> Array:
        if rows is None:
            return np.zeros((0, *shape), dtype=self._population.dtype)
        return rows.reshape(len(rows), *shape)

    # --- Runs ---

    def _first_and_count(self, first: int, steps: int) -> tuple[int, int, int]:
        """First step of a run that is kept, number of those kept, and the period in steps."""
        dt = self._network.dt
        period = 1 if self._period is None else whole_steps("period", self._period, dt)
        offset = whole_steps("period_offset", self._offset, dt)
        wait = (self._made + offset - first) % period
        return first + wait, max(0, -(-(steps - wait) // period)), period

    def _bytes_needed(self, first: int, steps: int) -> int:
        """Memory of the rows of a run."""
        count = self._first_and_count(first, steps)[1]
        trials, size = self._network._trials, self._population.dtype.itemsize
        return sum(
            count * trials * self._kept(name) * size
            for name, track in self._tracks.items()
            if track.recording
        )

    def _kept(self, variable: str) -> int:
        """Number of values of one trial in a row."""
        return self._object.size if self._is_local(variable) else self._array(variable)[0].size

    def _begin(self, first: int, steps: int) -> None:
        """Allocate the rows of a run."""
        start, count, period = self._first_and_count(first, steps)
        dtype, trials = self._population.dtype, self._network._trials
        for name, track in self._tracks.items():
            if not track.recording:
                continue
            whole = isinstance(self._object, Population) or not self._is_local(name)
            ranks = None if whole else self._object.ranks
            rows = np.empty((count, trials, self._kept(name)), dtype=dtype)
            track.begin(first, Recording(self._array(name), ranks, rows, start, period))

    def _recordings(self) -> Iterator[Recording]:
        """What the backend is to keep during the present run."""
        for track in self._tracks.values():
            if track.running is not None and track.running.rows.size:
                yield track.running

    def _end(self, steps_done: int) -> None:
        """Keep the rows of the steps that a run has completed."""
        for track in self._tracks.values():
            track.end(steps_done)

    def _reset(self) -> None:
        """Forget all rows; time begins anew."""
        self._made = 0
        for track in self._tracks.values():
            track.clear()

    @contextmanager
    def _between_runs(self) -> Iterator[None]:
        """End the present run, if there is one, and begin what is left of it: callbacks may change a monitor."""
        self._end(self._now)
        try:
            yield
        finally:
            self._begin_in_run()

    def _begin_in_run(self) -> None:
        end = self._network._run_end
        if end is not None:
            begin_all([self], self._now, end - self._now)


class _Track:
    """What is recorded of one variable.

    Attributes
    ----------
    recording
        Whether the next run is recorded.
    chunks
        Rows of earlier runs, each (n, B, kept units).
    spans
        First step and the one after the last of the time that the chunks come from.
    running
        What the present run keeps.
    """

    def __init__(self, recording: bool = False) -> None:
        self.recording = recording
        self.chunks: list[Array] = []
        self.spans: list[tuple[int, int]] = []
        self.taken: list[tuple[int, int]] | None = None  # spans of the last `take`
        self.running: Recording | None = None
        self.first = 0

    def begin(self, first: int, recording: Recording) -> None:
        self.first, self.running = first, recording

    def so_far(self, steps_done: int) -> list[Array]:
        """All rows, those of the present run up to a step included."""
        running = self.running
        if running is None:
            return self.chunks
        count = max(0, -(-(steps_done - running.first) // running.period))
        # A part keeps the whole array alive, of which the system has given only those pages that were written.
        return [*self.chunks, running.rows[:count]]

    def end(self, steps_done: int) -> None:
        if self.running is None:
            return
        self.chunks = [rows for rows in self.so_far(steps_done) if len(rows)]
        self.running = None
        if steps_done > self.first:
            if self.spans and self.spans[-1][1] == self.first:
                self.spans[-1] = (self.spans[-1][0], steps_done)
            else:
                self.spans.append((self.first, steps_done))

    def take(self, keep: bool) -> Array | None:
        """Return all chunks as one, if there are any, and forget them unless they are to be kept."""
        if len(self.chunks) > 1:
            self.chunks = [np.concatenate(self.chunks)]
        rows = self.chunks[0] if self.chunks else None
        self.taken = list(self.spans)
        if not keep:
            self.chunks, self.spans = [], []
        elif rows is not None:
            rows = rows.view()
            rows.setflags(write=False)
        return rows

    def last_spans(self) -> list[tuple[int, int]]:
        return self.spans if self.taken is None else self.taken

    def clear(self) -> None:
        self.chunks, self.spans, self.taken, self.running = [], [], None, None


def begin_all(monitors: Iterable[Monitor], first: int, steps: int) -> None:
    """Allocate the rows of a run for all monitors.

    Raises
    ------
    MemoryError
        If they need more than is free; nothing has changed then.
    """
    begun = tuple(monitors)
    needed, free = sum(one._bytes_needed(first, steps) for one in begun), free_memory()
    if free is not None and needed > free:
        raise _too_much(needed, steps, f"{counted(free)} are free")
    try:
        for monitor in begun:
            monitor._begin(first, steps)
    except (MemoryError, ValueError) as error:  # NumPy's for arrays beyond every address
        for monitor in begun:
            monitor._end(first)
        raise _too_much(needed, steps, f"the system refused ({error})") from None


def _too_much(needed: int, steps: int, problem: str) -> MemoryError:
    return MemoryError(
        f"the monitors need {counted(needed)} for the rows of {steps} steps, {problem}. Record less: a longer "
        "period, a view of the population, fewer variables; or simulate in parts with get() in between."
    )


def _target(variable: str) -> str | None:
    """The target that ``sum(target)`` names, None for anything else."""
    name = variable[4:-1]
    found = variable.startswith("sum(") and variable.endswith(")") and name.isidentifier()
    return name if found else None
