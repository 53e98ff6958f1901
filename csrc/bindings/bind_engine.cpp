#include "bindings/bindings.h"
#include "expression/generate.h"

namespace weightsharing::bindings {

using namespace pybind11::literals;

namespace {

// Trials of an array of `elements` each; the engine knows sizes only, shapes were checked in Python.
Index trials(const py::array& array, Index elements, const char* name) {
  if (elements == 0 || array.size() % elements)
    throw py::value_error(std::string(name) + " has " + std::to_string(array.size()) +
                          " elements, expected a multiple of " + std::to_string(elements));
  return array.size() / elements;
}

std::shared_ptr<BoundEngine> bind(std::unique_ptr<Engine> engine, DType dtype, Index pre, Index post,
                                  std::vector<Index> weights) {
  return std::make_shared<BoundEngine>(BoundEngine{std::move(engine), dtype, pre, post, std::move(weights)});
}

EngineOptions options_of(const std::string& dtype, const std::string& algorithm, int threads) {
  const Algorithm how = algorithm_from(algorithm);
  if (how == Algorithm::tf32x3)
    throw py::value_error("algorithm='3xtf32' is for CUDA devices, expected 'auto' or 'direct' here");
  return {dtype_of(dtype), how, threads};
}

}  // namespace

void register_engine(py::module_& m) {
  using Code = py::array_t<std::int32_t, py::array::c_style>;

  py::class_<Program>(m, "Program", "Bytecode of a psp or of equations.")
      .def(py::init([](const Code& code, std::vector<double> constants, int slots, int inputs, int outputs) {
             return Program({code.data(), code.data() + code.size()}, std::move(constants), slots, inputs,
                            outputs);
           }),
           py::kw_only(), "code"_a, "constants"_a, "slots"_a, "inputs"_a, "outputs"_a)
      .def("text", &generate, "As the text of a C++ function, for compilation together with a kernel.");
  m.def(
      "opcodes", [] { return py::tuple(py::cast(opcode_names())); },
      "Names of the operations, in the order of their numbers.");

  py::class_<Psp>(m, "Psp", "What one tap contributes: f(w) * g(rate), or a program of both.")
      .def(py::init<std::optional<Program>, std::optional<Program>, std::optional<Program>>(), py::kw_only(),
           "weight"_a = py::none(), "rate"_a = py::none(), "general"_a = py::none());

  py::class_<BoundEngine, std::shared_ptr<BoundEngine>>(m, "Engine",
                                                        "A connected projection, ready to run on the CPU.")
      .def_static(
          "shared",
          [](const SharedGeometry& g, const std::string& operation, double padding_value, const Psp& psp,
             const std::string& dtype, const std::string& algorithm, int threads) {
            const EngineOptions options = options_of(dtype, algorithm, threads);
            std::vector<Index> weights;
            for (Index f = 0; f < g.filters; ++f) weights.push_back(g.taps(f));
            return bind(make_engine(g, operation_from(operation), padding_value, psp, options), options.dtype,
                        volume(g.pre, "pre"), volume(g.post, "post"), std::move(weights));
          },
          "geometry"_a, "operation"_a, "padding_value"_a, "psp"_a, "dtype"_a, "algorithm"_a = "auto",
          "threads"_a = 0)
      .def_static(
          "pooling",
          [](const PoolingGeometry& g, const std::string& operation, const Psp& psp, const std::string& dtype,
             int threads) {
            const EngineOptions options = options_of(dtype, "auto", threads);
            return bind(make_engine(g, operation_from(operation), psp, options), options.dtype,
                        volume(g.pre, "pre"), volume(g.post, "post"), {});
          },
          "geometry"_a, "operation"_a, "psp"_a, "dtype"_a, "threads"_a = 0)
      .def_static(
          "synapses",
          [](const SynapsesGeometry& g, const std::string& operation, const Psp& psp,
             const std::string& dtype, int threads) {
            const EngineOptions options = options_of(dtype, "auto", threads);
            return bind(make_engine(g, operation_from(operation), psp, options), options.dtype, g.pre, g.post,
                        {static_cast<Index>(g.column.size())});
          },
          "geometry"_a, "operation"_a, "psp"_a, "dtype"_a, "threads"_a = 0)
      .def(
          "set_weights",
          [](BoundEngine& e, const std::vector<py::array>& arrays) {
            if (arrays.size() != e.weights.size())
              throw py::value_error("expected " + std::to_string(e.weights.size()) +
                                    " arrays of weights, got " + std::to_string(arrays.size()));
            std::vector<const void*> values;
            for (std::size_t i = 0; i < arrays.size(); ++i) {
              if (arrays[i].size() != e.weights[i])
                throw py::value_error("weights have " + std::to_string(arrays[i].size()) +
                                      " elements, expected " + std::to_string(e.weights[i]));
              values.push_back(readable(arrays[i], e.dtype, "weights"));
            }
            const py::gil_scoped_release release;
            e.engine->set_weights(values);
          },
          "weights"_a)
      .def(
          "run",
          [](BoundEngine& e, const py::array& rates, py::array& out, bool accumulate) {
            const void* from = readable(rates, e.dtype, "rates");
            void* to = writable(out, e.dtype, "out");
            const Index batch = trials(rates, e.pre, "rates");
            if (trials(out, e.post, "out") != batch)
              throw py::value_error("rates and out have different numbers of trials");
            const py::gil_scoped_release release;
            e.engine->run(from, to, batch, accumulate);
          },
          "rates"_a, "out"_a, "accumulate"_a = false)
      .def("describe", [](const BoundEngine& e) { return described(*e.engine); });
}

}  // namespace weightsharing::bindings
