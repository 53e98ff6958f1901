"""`Copy`: a projection that uses the weights of another one."""

from __future__ import annotations

import dataclasses

from ..state.links import Link
from .base import BaseProjection


class Copy(BaseProjection):
    """Projection that uses the weights of another one, with its own psp and operation."""

    def connect_copy(self, projection: BaseProjection) -> Copy:
        """Use the weights of `projection`: a change of the ones is seen in the other at once.

        Parameters
        ----------
        projection : BaseProjection
            Connected, with weights, and with the same geometries and dtype; a delay is taken over.

        Returns
        -------
        Copy
            This one.

        Raises
        ------
        StateError
            If one is connected already, the other not, or the network compiled.
        TypeError, ValueError
            If `projection` is not as described.
        """
        connect_copy(self._link, projection)
        return self

    copy = connect_copy


def connect_copy(link: Link, projection: BaseProjection) -> None:
    """Connect with the weights of another projection, by reference."""
    link.require_free()
    if not isinstance(projection, BaseProjection):
        raise TypeError(f"the projection to copy is a {type(projection).__name__}; expected a projection.")
    other = projection._link
    description, _ = other.with_weights()
    if (link.pre.geometry, link.post.geometry) != (description.pre, description.post):
        raise ValueError(
            f"the projection to copy has pre {description.pre} and post {description.post}, this one pre "
            f"{link.pre.geometry} and post {link.post.geometry}; the geometries must be the same."
        )
    if link.dtype != other.dtype:
        raise ValueError(
            f"the projection to copy has dtype {other.dtype}, this one {link.dtype}; they must be the same."
        )
    copied = dataclasses.replace(description, psp=link.psp, operation=link.operation)
    link.connect(dataclasses.replace(other.connected(), description=copied))
