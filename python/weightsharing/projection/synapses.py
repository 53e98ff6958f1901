"""`Projection`: a weight for every synapse, and `Synapse`, how it acts."""

from __future__ import annotations

from typing import Any

from ..checks.numbers import finite_number, positive_number
from ..checks.porting import ported
from ..description import connectors
from ..description.projections import Operation, SynapsesDescription
from ..language.expression import parse_psp
from ..population.population import Population
from ..state.connection import DEFAULT_PSP, Connection, Weights
from .base import BaseProjection
from .connecting import check_operation, checked_history, synapse_values, uniform_delay


class Synapse:
    """How the individual weights of a `Projection` act.

    Parameters
    ----------
    psp : str
        Contribution of one synapse, an expression of ``w`` and ``pre.r``.
    operation : {'sum', 'max', 'min', 'mean'}
        How the contributions of one post unit are reduced; mean divides by its number of synapses.

    Raises
    ------
    ValueError
        If `psp` cannot be read or `operation` is another one.
    """

    @ported
    def __init__(self, psp: str = DEFAULT_PSP, operation: Operation = "sum") -> None:
        parse_psp(psp)
        check_operation(operation)
        self.psp = psp
        self.operation = operation


class Projection(BaseProjection):
    """Projection with a weight for every synapse.

    Every connect method has a second name without ``connect_``: `all_to_all` is `connect_all_to_all`.

    Parameters
    ----------
    pre, post, target, name, backend, threads, device
        As for `BaseProjection`.
    synapse : Synapse, optional
        Its psp and operation; default: the sum of ``w*pre.r``.
    """

    @ported
    def __init__(
        self,
        pre: Population,
        post: Population,
        target: str,
        synapse: Synapse | None = None,
        name: str | None = None,
        backend: str | None = None,
        threads: int | None = None,
        device: int | None = None,
    ) -> None:
        synapse = Synapse() if synapse is None else synapse
        if not isinstance(synapse, Synapse):
            raise TypeError(f"synapse is a {type(synapse).__name__}; expected a Synapse.")
        super().__init__(pre, post, target, synapse.psp, synapse.operation, name, backend, threads, device)

    @ported
    def connect_all_to_all(
        self, weights: Any, delays: float = 0.0, allow_self_connections: bool = False, history: Any = "zeros"
    ) -> Projection:
        """Connect every pre unit to every post unit.

        Parameters
        ----------
        weights : float, array_like, Uniform or Normal
            One for all, drawn for each synapse, or an array (post.size, pre.size) or (number of synapses,).
        delays : float
            In ms.
        history : str or array_like
            What a delay reads before the start, as for `Convolution.connect_filter`.
        allow_self_connections : bool
            Whether a unit may feed itself; matters only where pre is post.

        Returns
        -------
        Projection
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described.
        """
        self._link.require_free()
        synapses = connectors.all_to_all(
            self.pre.size, self.post.size, self._skips_self(allow_self_connections)
        )
        return self._connect_synapses(synapses, weights, delays, history)

    @ported
    def connect_one_to_one(
        self, weights: Any = 1.0, delays: float = 0.0, history: Any = "zeros"
    ) -> Projection:
        """Connect every pre unit to the post unit of the same rank; the sizes must be equal.

        Parameters, result and errors as `connect_all_to_all`; an array of weights may have the shape
        (post.size,).
        """
        self._link.require_free()
        synapses = connectors.one_to_one(self.pre.size, self.post.size)
        return self._connect_synapses(synapses, weights, delays, history)

    @ported
    def connect_fixed_probability(
        self,
        probability: float,
        weights: Any,
        delays: float = 0.0,
        allow_self_connections: bool = False,
        history: Any = "zeros",
    ) -> Projection:
        """Connect each pair of units with a probability between 0 and 1, drawn from the network's seed.

        Other parameters, result and errors as `connect_all_to_all`.
        """
        self._link.require_free()
        synapses = connectors.fixed_probability(
            self.pre.size,
            self.post.size,
            probability,
            self._skips_self(allow_self_connections),
            self._link.context.source.generator,
        )
        return self._connect_synapses(synapses, weights, delays, history)

    @ported
    def connect_gaussian(
        self,
        amp: float,
        sigma: float,
        delays: float = 0.0,
        limit: float = 0.01,
        allow_self_connections: bool = False,
        history: Any = "zeros",
    ) -> Projection:
        """Connect with the weights ``amp * exp(-d**2 / (2 sigma**2))``.

        d is the distance between the normalised coordinates of the two units: each axis of a population runs
        from 0 to 1, ``coordinate / (size - 1)``, an axis of size 1 lies at 0.

        Parameters
        ----------
        amp : float
            Weight at distance 0.
        sigma : float
            Width in normalised coordinates, > 0.
        delays : float
            In ms.
        history : str or array_like
            What a delay reads before the start, as for `Convolution.connect_filter`.
        limit : float
            Only weights with ``abs(w) > limit * abs(amp)`` become synapses.
        allow_self_connections : bool
            Whether a unit may feed itself; matters only where pre is post.

        Returns
        -------
        Projection
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described, or pre and post differ in their number of dimensions.
        """
        amp = finite_number("amp", amp)
        profile = [(amp, positive_number("sigma", sigma))]
        return self._connect_profile(profile, amp, delays, limit, allow_self_connections, history)

    @ported
    def connect_dog(
        self,
        amp_pos: float,
        sigma_pos: float,
        amp_neg: float,
        sigma_neg: float,
        delays: float = 0.0,
        limit: float = 0.01,
        allow_self_connections: bool = False,
        history: Any = "zeros",
    ) -> Projection:
        """Connect with a difference of Gaussians, as `connect_gaussian`: the one of `amp_pos` and `sigma_pos`
        less the one of `amp_neg` and `sigma_neg`.

        Only weights with ``abs(w) > limit * abs(amp_pos - amp_neg)`` become synapses.
        """
        amp_pos, amp_neg = finite_number("amp_pos", amp_pos), finite_number("amp_neg", amp_neg)
        profile = [
            (amp_pos, positive_number("sigma_pos", sigma_pos)),
            (-amp_neg, positive_number("sigma_neg", sigma_neg)),
        ]
        return self._connect_profile(
            profile, amp_pos - amp_neg, delays, limit, allow_self_connections, history
        )

    @ported
    def connect_from_matrix(
        self, weights: Any, delays: float = 0.0, pre_post: bool = False, history: Any = "zeros"
    ) -> Projection:
        """Connect as a matrix says.

        Parameters
        ----------
        weights : array_like
            (post.size, pre.size); NaN or None where there is no synapse.
        delays : float
            In ms.
        history : str or array_like
            What a delay reads before the start, as for `Convolution.connect_filter`.
        pre_post : bool
            Whether the matrix is (pre.size, post.size) instead.

        Returns
        -------
        Projection
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described.
        """
        self._link.require_free()
        return self._connect_synapses(
            *connectors.from_matrix(weights, self.pre.size, self.post.size, pre_post), delays, history
        )

    @ported
    def connect_from_sparse(self, weights: Any, delays: float = 0.0, history: Any = "zeros") -> Projection:
        """Connect as a SciPy sparse matrix says.

        Parameters
        ----------
        weights : sparse matrix
            (pre.size, post.size): pre comes first here, as in ANNarchy. Every stored element is a synapse,
            also a stored 0.
        delays : float
            In ms.
        history : str or array_like
            What a delay reads before the start, as for `Convolution.connect_filter`.

        Returns
        -------
        Projection
            This one.

        Raises
        ------
        StateError
            If it is connected already, or its network compiled.
        TypeError, ValueError
            If an argument is not as described.
        """
        self._link.require_free()
        return self._connect_synapses(
            *connectors.from_sparse(weights, self.pre.size, self.post.size), delays, history
        )

    # ANNarchy 5 calls them so.
    all_to_all = connect_all_to_all
    one_to_one = connect_one_to_one
    fixed_probability = connect_fixed_probability
    gaussian = connect_gaussian
    dog = connect_dog
    from_matrix = connect_from_matrix
    from_sparse = connect_from_sparse

    def _skips_self(self, allow_self_connections: bool) -> bool:
        return self.pre is self.post and not allow_self_connections

    def _connect_profile(
        self,
        profile: list[tuple[float, float]],
        peak: float,
        delays: float,
        limit: float,
        allow_self_connections: bool,
        history: Any,
    ) -> Projection:
        self._link.require_free()
        return self._connect_synapses(
            *connectors.gaussians(
                self.pre.geometry,
                self.post.geometry,
                profile,
                peak,
                limit,
                self._skips_self(allow_self_connections),
            ),
            delays,
            history,
        )

    def _connect_synapses(
        self, synapses: connectors.Synapses, weights: Any, delays: Any, history: Any
    ) -> Projection:
        link = self._link
        delays, history = uniform_delay(delays), checked_history(link, history)
        description = SynapsesDescription(
            self.pre.geometry, self.post.geometry, *synapses, link.operation, psp=link.psp
        )
        values = synapse_values(link, description, weights, exact=False)
        link.connect(Connection(description, delays, history, Weights([values])))
        return self
