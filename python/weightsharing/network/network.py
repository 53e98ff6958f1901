"""`Network`: populations and projections that are simulated together."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from numpy.typing import DTypeLike

from ..checks.errors import StateError
from ..checks.numbers import whole_number
from ..checks.porting import ported
from ..description.histories import UpdateOrder
from ..simulation.callbacks import Callbacks
from ..state.assembly import Assembly
from ..state.context import Context
from ..state.session import session
from .building import Building
from .running import Running
from .subclasses import is_ready, ready_before, settings_taken
from .summary import Summary


class Network(Building, Running):
    """Populations and projections that are simulated together, step by step.

    In one step of a synchronous network every projection reads the rates of the step before (or those assigned
    since) and adds to its target, then every population evaluates its equations: a layer costs one step. In a
    feedforward network the populations take turns, each after those it reads: a chain has no latency.

    Parameters
    ----------
    dt : float
        Length of a step in ms.
    dtype : {'float32', 'float64'}
        Of all rates, weights and sums.
    seed : int, optional
        For everything drawn: weights, rates, noise. Default: another one each time.
    backend : str
        Name of a backend (`backends`), or ``'auto'``: a GPU where one can be used and a step is large enough to
        gain by it, else the CPU. ``describe()["backend_reason"]`` of a projection says why.
    threads : int, optional
        For the CPU backend; default: `get_num_threads`.
    batch : int, optional
        Number of independent trials that are simulated together, with the same weights: all values have a
        leading axis (batch, ...) then. A value without it is taken for every trial.
    update : {'synchronous', 'feedforward'}
        Order of a step.
    first_trial : int
        Number of the first trial: trial b of a batch draws the same noise and values as a network whose
        `first_trial` is b.
    check_finite : bool
        Whether to stop with an error after the first step that leaves NaN or infinity in a variable. The error
        names that step; a GPU, which nobody asks in every step, goes on for some more (`time` counts them).
    device : int, optional
        For a GPU: its number; default: that of `stream`, else 0.
    stream : int or stream, optional
        For a GPU: CUDA stream that all steps run on, as an address, a stream of CuPy or torch, or anything with
        ``__cuda_stream__``. Default: one of its own. `simulate` returns when the steps are done in any case.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is not as described.
    StateError
        If a subclass calls ``super().__init__()`` after it created something.

    Notes
    -----
    A subclass may create its populations in an ``__init__`` of its own. It calls that of this class first, to choose
    settings, or not at all. `dt` and `seed` can be given to every subclass by name: where its ``__init__`` does not
    take them, they go to the network directly, and count more than what it chooses.

    Examples
    --------
    >>> import weightsharing as ws
    >>> network = ws.Network()
    >>> signal = network.create(6)
    >>> edges = network.create(6, ws.Neuron(equations="r = sum(exc) : min=0.0"))
    >>> projection = ws.Convolution(signal, edges, "exc").connect_filter([-1.0, 1.0])
    >>> signal.r = [0, 0, 2, 2, 3, 3]
    >>> network.compile()
    >>> network.simulate(1.0)
    >>> edges.r
    array([0., 2., 0., 1., 0., 0.], dtype=float32)
    """

    _assembly: Assembly

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = ready_before(cls.__init__, Network.__init__)  # type: ignore[method-assign]

    @ported
    def __init__(
        self,
        dt: float = 1.0,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        *,
        backend: str = "auto",
        threads: int | None = None,
        device: int | None = None,
        stream: Any = None,
        batch: int | None = None,
        update: UpdateOrder = "synchronous",
        first_trial: int = 0,
        check_finite: bool = False,
    ) -> None:
        if is_ready(self) and (self._assembly.units or self._callbacks.functions):
            raise StateError(
                f"{type(self).__name__}: super().__init__() would forget what was created before; call it first."
            )
        taken = settings_taken(self)
        context = Context(
            taken.get("dt", dt),
            dtype,
            taken.get("seed", seed),
            backend=backend,
            threads=threads,
            device=device,
            stream=stream,
            batch=batch,
            update=update,
            first_trial=first_trial,
            check_finite=check_finite,
        )
        # Called again, it is still the network of enclosing `with` blocks.
        assembly = self._assembly if is_ready(self) else Assembly(context)
        assembly.context = context
        self._hold(assembly)

    def _hold(self, assembly: Assembly) -> None:
        """Become what people hold of an assembly."""
        assembly.holder = self
        self._assembly = assembly
        self._callbacks = Callbacks()
        self._simulation = None

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(Network, name, None), property):
            raise AttributeError(
                f"{name!r} of a Network cannot be assigned; its settings are arguments of Network()."
            )
        # A subclass may keep its populations and projections as attributes.
        if not name.startswith("_") and type(self) is Network:
            raise AttributeError(
                f"a Network has no attribute {name!r} to assign; its settings are arguments of Network()."
            )
        object.__setattr__(self, name, value)

    @ported
    def set_seed(self, seed: int) -> None:
        """Draw weights, values and noise from another seed from now on; what is drawn already stays.

        Raises
        ------
        StateError
            If the network is compiled already.
        TypeError, ValueError
            If `seed` is no whole number from 0 to 2**64 - 1.
        """
        self._assembly.context.require_open("change the seed")
        self._assembly.context.source.start(whole_number("seed", seed))

    def __repr__(self) -> str:
        return (
            f"<Network of {len(self._assembly.units)} populations and {len(self._assembly.links)} projections, "
            f"dt {self.dt} ms, {self.dtype}, t {self.time} ms>"
        )

    def summary(self) -> Summary:
        """Return tables of all populations and projections: geometries, weights, how each is computed.

        Returns
        -------
        Summary
            Prints as tables; its attribute `weights` is the number of all weights, biases (parameters with the
            flag ``: filter``) included.
        """
        return Summary(self._assembly)

    def __enter__(self) -> Network:
        session.enter(self._assembly)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session.leave()


def network_of(assembly: Assembly) -> Network:
    """Return a network for an assembly that people hold nothing of yet."""
    network = object.__new__(Network)
    network._hold(assembly)
    return network
