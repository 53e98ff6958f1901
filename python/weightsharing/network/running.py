"""`Running`: a network is compiled, run, and taken back to earlier states."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from ..backends.targets import checked_target
from ..checks.errors import StateError
from ..checks.halves import half_of
from ..checks.numbers import finite_number, positive_number
from ..checks.porting import ported
from ..checks.times import whole_steps
from ..population.model import Model
from ..population.movies import MoviePopulation
from ..population.population import Population
from ..simulation.callbacks import Callback, Callbacks, Times
from ..simulation.loading import load as load_network
from ..simulation.placement import place
from ..simulation.saving import save as save_network
from ..simulation.simulation import Simulation
from .building import check_member

F = TypeVar("F", bound=Callable[[int], Any])


@half_of("Network")
class Running(Model):
    """The half of `Network` that compiles and runs it."""

    _callbacks: Callbacks
    _simulation: Simulation | None

    @ported
    def compile(
        self,
        backend: str | None = None,
        threads: int | None = None,
        device: int | None = None,
        stream: Any = None,
    ) -> None:
        """Prepare the network for simulation; nothing can be added any more.

        Projections whose connect method raised are left out. The values of this moment are those that `reset`
        restores. Called again, it starts over from the
        values of that moment, with empty histories and monitors and at time 0, for example on another backend.

        Parameters
        ----------
        backend, threads, device, stream
            As for `Network`; default: those of the network.

        Raises
        ------
        StateError
            If a projection is not connected.
        TypeError, ValueError, IndexError
            If an argument is not as described, the populations differ in dtype, or a projection asks for
            another backend or device.
        """
        assembly, context = self._assembly, self._assembly.context
        context.require_between_runs("compile")
        asked = checked_target(backend, threads, device, stream).over(context.given)
        # Whoever called a connect method that raised knows; often the corrected line made another projection.
        assembly.links = [one for one in assembly.links if one.connection is not None or not one.attempted]
        for link in assembly.links:
            link.connected()
        target, reason = place(assembly, asked)
        for units in assembly.units:
            if units.shown is not None:
                units.shown.check()
            units.fetch_all()
        simulation = Simulation(assembly, target, self._callbacks)
        context.placed, context.asked, context.reason = target, asked, reason
        for link in assembly.links:
            link.executors.forget_steps_elsewhere(target)
        self._simulation = simulation
        simulation.restart()

    @ported
    def simulate(self, duration: float, progress: bool = False, measure_time: bool = False) -> None:
        """Run for a time. Ctrl-C stops between two steps.

        Parameters
        ----------
        duration : float
            In ms, a whole number of steps of `dt` and not negative.
        progress : bool
            Whether to show a progress bar; needs tqdm.
        measure_time : bool
            Whether to print how long it took.

        Raises
        ------
        StateError
            If the network is not compiled.
        TypeError, ValueError
            If the duration is not as described.
        FloatingPointError
            With `check_finite`: after the first step that leaves NaN or infinity in a variable.
        ImportError
            If there is no tqdm for the progress bar.
        """
        steps = whole_steps("duration", finite_number("duration", duration), self.dt)
        if not isinstance(measure_time, (bool, np.bool_)):
            raise TypeError(f"measure_time is {measure_time!r}; expected True or False.")
        begin = perf_counter()
        self._compiled().run(steps, progress)
        if measure_time:
            took = perf_counter() - begin
            print(f"Simulating {duration / 1000.0:g} seconds of the network took {took:g} seconds.")

    @ported
    def step(self) -> None:
        """Run one step.

        Raises
        ------
        StateError
            If the network is not compiled.
        """
        self._compiled().run(1)

    def run(self, movie: Any, output: Any = None, progress: bool = False) -> Any:
        """Show a whole movie, one frame in each step, and return what populations made of it.

        A second movie continues where the first one ended: histories, delays and variables carry over, so a
        movie that is cut into pieces gives the same as the whole. Only the histories ``'mean'``, ``'mirror'``
        and ``'full_copy'`` are made from the movie that is given at step 0.

        Parameters
        ----------
        movie : array_like, or dict
            For the network's only `MoviePopulation`: (frames, \\*geometry), in a network with a batch also
            (frames, batch, \\*geometry), or whatever else `set_movie` takes and has a known number of frames.
            A dict gives one movie to each of several populations, all with the same number of frames.
        output : Population, or sequence of Population, optional
            Whose rates to return.
        progress : bool
            Whether to show a progress bar; needs tqdm.

        Returns
        -------
        ndarray (frames, \\*geometry), or (frames, batch, \\*geometry)
            Rates of `output` at the end of each step; a list of such arrays for a sequence of populations, None
            without `output`.

        Raises
        ------
        StateError
            If the network is not compiled.
        TypeError, ValueError
            If the movie does not fit the population, `output` is not as described, or a projection asks for a
            history made from a movie and its pre population shows none. Nothing has changed then.
        MemoryError
            If the rates to return need more than is free. Nothing has changed then.
        FloatingPointError, ImportError
            As for `simulate`.

        Notes
        -----
        The movie stays that of the population: after `reset` it begins again.
        """
        simulation = self._compiled()
        movies = {
            shown._units: shown._shown.whole_movie(frames) for shown, frames in self._movies(movie).items()
        }
        lengths = {len(frames) for frames in movies.values()}
        if len(lengths) > 1:
            listed = ", ".join(f"{one.name!r}: {len(frames)}" for one, frames in movies.items())
            raise ValueError(
                f"movie: the movies differ in their number of frames ({listed}); cut them alike."
            )
        single = isinstance(output, Population)
        recorded = self._checked_outputs([output] if single else [] if output is None else output)
        results = simulation.run_movies(movies, [one._units for one in recorded], progress)
        return results[0] if single else None if output is None else results

    def _movies(self, movie: Any) -> dict[MoviePopulation, Any]:
        """Which population is to show which movie."""
        held = [units.handle for units in self._assembly.units]
        showing = [one for one in held if isinstance(one, MoviePopulation)]
        if not isinstance(movie, Mapping):
            if len(showing) != 1:
                raise ValueError(
                    f"movie: the network has {len(showing)} populations that show movies; expected one, or a dict "
                    "{population: movie}."
                )
            return {showing[0]: movie}
        if not movie:
            raise ValueError("movie is an empty dict; expected {population: movie}.")
        for key in movie:
            if key not in showing:
                raise ValueError(f"movie: {key!r} is no MoviePopulation of this network.")
        return dict(movie)

    def _checked_outputs(self, output: Any) -> list[Population]:
        if not isinstance(output, Sequence) or not all(isinstance(one, Population) for one in output):
            raise TypeError(f"output is {output!r}; expected a population, or a sequence of populations.")
        for one in output:
            check_member(self._assembly, one)
        return list(output)

    @ported
    def every(self, period: float, offset: float = 0.0, wait: float = 0.0) -> Callable[[F], F]:
        """Decorate a function that is called between steps, whenever a period of simulated time has passed.

        Parameters
        ----------
        period : float
            Time between two calls in ms, a whole number of steps.
        offset, wait : float
            The first call comes before the step that begins at ``offset + wait``. A negative `offset` is
            counted from the end of a period: with a period of 5.0 ms, -1.0 means 4.0.

        Returns
        -------
        decorator
            The function gets one argument, the number of periods that have passed since the time of the first
            call. It may assign rates, parameters and weights. Calls lie at the same times however a run is cut
            into calls of `simulate`.

        Raises
        ------
        TypeError, ValueError
            If a time is not as described.
        """
        times = Times(
            positive_number("period", period), finite_number("offset", offset), finite_number("wait", wait)
        )
        times.in_steps(self.dt)  # raises ValueError for times that are no steps

        def decorated(function: F) -> F:
            if not callable(function):
                raise TypeError(
                    f"every: got a {type(function).__name__}; expected a function of one argument."
                )
            self._callbacks.functions.append(Callback(function, times))
            return function

        return decorated

    @ported
    def enable_callbacks(self) -> None:
        """Call the functions of `every` again."""
        self._callbacks.enabled = True

    @ported
    def disable_callbacks(self) -> None:
        """Do not call the functions of `every` until `enable_callbacks`."""
        self._callbacks.enabled = False

    @ported
    def clear_all_callbacks(self) -> None:
        """Forget all functions of `every`."""
        self._callbacks.functions.clear()

    @ported
    def reset(self) -> None:
        """Return to the values, histories and time of `compile`; monitors are emptied, weights stay.

        Raises
        ------
        StateError
            If the network is not compiled.
        """
        simulation = self._compiled()
        self._assembly.context.require_between_runs("reset")
        simulation.reset()

    def push_state(self) -> None:
        """Keep a copy of all values, histories, the time and the source of random numbers, on a stack.

        Raises
        ------
        StateError
            If the network is not compiled.
        """
        self._compiled().push()

    def pop_state(self) -> None:
        """Return to the state that was pushed last.

        Raises
        ------
        StateError
            If none is left, or the network was compiled again since.
        """
        simulation = self._compiled()
        self._assembly.context.require_between_runs("pop_state")
        simulation.pop()

    @ported
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything that further steps depend on to a file.

        That is: all weights, also which synapses there are, all variables, parameters and sums, histories,
        the number of steps done, seed, `first_trial` and the source of random numbers, and where timed inputs
        stand. Monitors, callbacks, pushed states, the frames of timed inputs and the values that `reset`
        returns to are not saved: the program that builds the network makes them again.

        Parameters
        ----------
        path : str or path
            By custom with the suffix ``.npz``; `numpy.load` reads the file. A file of this name is replaced once
            the new one is complete and on the disk: after a crash there is the old one or the new one.

        Raises
        ------
        StateError
            If the network is not compiled.
        OSError
            If the file cannot be written.
        """
        save_network(self._simulation, path)

    @ported
    def load(self, path: str | os.PathLike[str]) -> None:
        """Return to the state that was saved, also in another process or on another backend.

        The network must be built and compiled as the saved one was. On the same backend it continues bit for
        bit as that would have continued. Seed and `first_trial` become those of the file; a connection that
        was drawn at random becomes the saved one. Monitors keep what they recorded, and `reset` still returns
        to the values of this network's own ``compile()``.

        Parameters
        ----------
        path : str or path
            A file that `save` wrote.

        Raises
        ------
        StateError
            If the network is not compiled.
        OSError
            If the file cannot be read.
        ValueError
            If the file is none of ours, damaged, or written by a later version, or the network differs from
            the saved one: in dt, dtype, batch or update order, in names, geometries or variables of populations,
            in names, kinds, shapes or delays of projections, in histories or constants, in equations, psps,
            operations or paddings. The message names the first difference. Nothing has changed then.
        """
        load_network(self._simulation, path)

    def _compiled(self) -> Simulation:
        if self._simulation is None:
            raise StateError("the network is not compiled; call compile() first.")
        return self._simulation
