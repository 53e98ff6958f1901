"""Messages know only the classes that people know, and call a subclass what it calls itself."""

import inspect

import pytest

import weightsharing as ws


@pytest.mark.parametrize("cls", [ws.Network, ws.Population], ids=["Network", "Population"])
def test_methods_go_by_the_name_of_their_public_class(cls):
    """Whichever half of the class they are written in; Python names them in its own messages."""
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_") or name in ("__init__", "__len__", "__array__", "__repr__"):
            assert inspect.unwrap(method).__qualname__ == method.__qualname__ == f"{cls.__name__}.{name}"


def test_a_missing_argument_is_one_of_a_network():
    network = ws.Network()
    with pytest.raises(TypeError, match=r"^Network\.simulate\(\) missing 1 required"):
        network.simulate()
    with pytest.raises(TypeError, match=r"^Network\.get_time\(\) takes 1"):
        network.get_time(1)
    with pytest.raises(TypeError, match=r"^Population\.rank_from_coordinates\(\) missing 1"):
        network.create(3).rank_from_coordinates()


def test_a_subclass_is_called_what_it_calls_itself():
    class Layer(ws.Population):
        def __repr__(self):
            return f"<layer {self.name}>"

    class Edges(ws.Convolution):
        def __repr__(self):
            return f"<edges, before {super().__repr__()}>"

    network = ws.Network()
    layer = Layer(3, name="one", network=network)
    with pytest.raises(ValueError, match=r"^<layer one> belongs to another network"):
        ws.Network().create(layer)
    edges = Edges(layer, layer, "exc")
    with pytest.raises(
        ws.StateError, match=r"^<edges, before <Edges one -> one \('exc', not connected\)>>: call"
    ):
        edges.describe()
    with pytest.raises(ws.StateError, match=r"^<edges, before"):
        network.compile()


@pytest.mark.parametrize("wrong", [3.0, ws.Network(), None])
def test_what_is_no_population_belongs_to_no_network(wrong):
    network = ws.Network()
    if wrong is None:
        assert network.get_projections(post=wrong) == []
        return
    with pytest.raises(AttributeError, match="has no attribute 'network'"):
        network.get_projections(post=wrong)
