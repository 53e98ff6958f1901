#include <pybind11/pybind11.h>

#include "bindings/bindings.h"

PYBIND11_MODULE(_core, m) {
  m.doc() =
      "C++ core of weightsharing: checks shapes, plans and computes. People use the package's Python "
      "classes.";
  weightsharing::bindings::register_geometry(m);
  weightsharing::bindings::register_engine(m);
  weightsharing::bindings::register_schedule(m);
  weightsharing::bindings::register_processor(m);
}
