#include "bindings/bindings.h"
#include "weightsharing/projection.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

void register_geometry(py::module_& m) {
  using Centres = py::array_t<Index, py::array::c_style>;

  py::class_<SharedGeometry>(m, "SharedGeometry",
                             "Checked geometry of a filter or a bank; ValueError names shapes and remedy.")
      .def(py::init([](Shape pre, Shape post, std::vector<Shape> extents, bool bank, bool keep_last_dimension,
                       bool flip, const std::string& padding, std::optional<Shape> strides,
                       std::optional<Shape> dilation, std::optional<Shape> first, std::optional<Shape> anchor,
                       std::optional<Centres> centres) {
             SharedArguments a{std::move(pre),        std::move(post),
                               std::move(extents),    bank,
                               keep_last_dimension,   flip,
                               padding_from(padding), std::move(strides),
                               std::move(dilation),   std::move(first),
                               std::move(anchor),     std::nullopt};
             if (centres) {
               if (centres->ndim() != 2 || centres->shape(1) != static_cast<py::ssize_t>(a.pre.size()))
                 throw py::value_error("subsampling needs one row of " + std::to_string(a.pre.size()) +
                                       " pre coordinates for each post unit");
               a.centres.emplace(centres->data(), centres->data() + centres->size());
             }
             return SharedGeometry(a);
           }),
           py::kw_only(), "pre"_a, "post"_a, "extents"_a, "bank"_a = false, "keep_last_dimension"_a = false,
           "flip"_a = false, "padding"_a = "constant", "strides"_a = py::none(), "dilation"_a = py::none(),
           "first"_a = py::none(), "anchor"_a = py::none(), "centres"_a = py::none())
      .def(
          "centre",
          [](const SharedGeometry& g, Index unit) {
            if (unit < 0 || unit >= g.units)
              throw py::index_error("post unit " + std::to_string(unit) + " of " + std::to_string(g.units));
            return py::tuple(py::cast(g.centre(unit)));
          },
          "unit"_a)
      .def_readonly("units", &SharedGeometry::units)
      .def_readonly("filters", &SharedGeometry::filters);

  py::class_<PoolingGeometry>(m, "PoolingGeometry",
                              "Checked geometry of a pooling; ValueError names shapes and remedy.")
      .def(py::init<Shape, Shape, std::optional<Shape>, std::optional<Shape>>(), py::kw_only(), "pre"_a,
           "post"_a, "extent"_a = py::none(), "stride"_a = py::none())
      .def_property_readonly("extent", [](const PoolingGeometry& g) { return py::tuple(py::cast(g.extent)); })
      .def_property_readonly("stride",
                             [](const PoolingGeometry& g) { return py::tuple(py::cast(g.stride)); });

  py::class_<SynapsesGeometry>(m, "SynapsesGeometry", "Compressed rows of synapses.")
      .def(py::init([](Index pre, Index post, const Centres& row_start, const Centres& column) {
             return SynapsesGeometry(pre, post, {row_start.data(), row_start.data() + row_start.size()},
                                     {column.data(), column.data() + column.size()});
           }),
           py::kw_only(), "pre"_a, "post"_a, "row_start"_a, "column"_a);
}

}  // namespace weightsharing::bindings
