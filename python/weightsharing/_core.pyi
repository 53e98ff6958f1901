from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[Any]
_Shape = tuple[int, ...]

class SharedGeometry:
    def __init__(
        self,
        *,
        pre: _Shape,
        post: _Shape,
        extents: Sequence[_Shape],
        bank: bool = False,
        keep_last_dimension: bool = False,
        flip: bool = False,
        padding: str = "constant",
        strides: _Shape | None = None,
        dilation: _Shape | None = None,
        first: _Shape | None = None,
        anchor: _Shape | None = None,
        centres: NDArray[np.int64] | None = None,
    ) -> None: ...
    def centre(self, unit: int) -> _Shape: ...
    @property
    def units(self) -> int: ...
    @property
    def filters(self) -> int: ...

class PoolingGeometry:
    def __init__(
        self, *, pre: _Shape, post: _Shape, extent: _Shape | None = None, stride: _Shape | None = None
    ) -> None: ...
    @property
    def extent(self) -> _Shape: ...
    @property
    def stride(self) -> _Shape: ...

class SynapsesGeometry:
    def __init__(
        self, *, pre: int, post: int, row_start: NDArray[np.int64], column: NDArray[np.int64]
    ) -> None: ...

class Program:
    def __init__(
        self, *, code: NDArray[np.int32], constants: list[float], slots: int, inputs: int, outputs: int
    ) -> None: ...
    def text(self) -> str: ...

class Psp:
    def __init__(
        self, *, weight: Program | None = None, rate: Program | None = None, general: Program | None = None
    ) -> None: ...

class Engine:
    @staticmethod
    def shared(
        geometry: SharedGeometry,
        operation: str,
        padding_value: float,
        psp: Psp,
        dtype: str,
        algorithm: str = "auto",
        threads: int = 0,
    ) -> Engine: ...
    @staticmethod
    def pooling(
        geometry: PoolingGeometry, operation: str, psp: Psp, dtype: str, threads: int = 0
    ) -> Engine: ...
    @staticmethod
    def synapses(
        geometry: SynapsesGeometry, operation: str, psp: Psp, dtype: str, threads: int = 0
    ) -> Engine: ...
    def set_weights(self, weights: list[_Array]) -> None: ...
    def run(self, rates: _Array, out: _Array, accumulate: bool = False) -> None: ...
    def describe(self) -> dict[str, object]: ...

class Schedule:
    def __init__(self, dtype: str, dt: float, threads: int = 0) -> None: ...
    def clear(self, out: _Array) -> None: ...
    def project(
        self, engine: Engine, rates: _Array, history: _Array | None, delay: int, out: _Array, accumulate: bool
    ) -> None: ...
    def update(
        self, program: Program, inputs: list[_Array | None], outputs: list[_Array], batch: int, units: int
    ) -> None: ...
    def push(self, rates: _Array, history: _Array) -> None: ...
    def run(self, first: int, steps: int) -> None: ...

def opcodes() -> tuple[str, ...]: ...
def instruction_sets() -> list[str]: ...
def instruction_set() -> str: ...
def set_instruction_set(name: str) -> None: ...
def thread_count() -> int: ...
def set_thread_count(threads: int) -> None: ...
