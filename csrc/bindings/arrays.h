// Arrays at the door: taken as they are, never converted.
#pragma once

#include <pybind11/numpy.h>

#include <optional>
#include <string>

#include "weightsharing/schedule.h"

namespace weightsharing::bindings {

namespace py = pybind11;

using Int64s = py::array_t<std::int64_t, py::array::c_style>;

DType dtype_of(const std::string& name);
const char* name_of(DType dtype);
inline std::size_t element_bytes(DType dtype) { return dtype == DType::float32 ? 4 : 8; }

// Address of a C-contiguous array of the dtype; TypeError or ValueError otherwise.
const void* readable(const py::array& array, DType dtype, const char* name);
void* writable(py::array& array, DType dtype, const char* name);
// The same, of so many elements.
const void* readable(const py::array& array, DType dtype, Index elements, const char* name);
void* writable(py::array& array, DType dtype, Index elements, const char* name);

// Rates that frames are written over, and the frames of the present run.
struct BoundInput {
  Index batch, units;
  py::object kept;
};
Frames frames_of(const BoundInput& input, DType dtype, const std::optional<py::array>& frames,
                 const Int64s& starts, Index period, Index origin);

// What a run keeps of an array, checked; `period` in steps.
struct BoundRows {
  Index batch, units, kept, row_count;
  void* rows;
};
BoundRows rows_of(Index elements, const std::optional<Int64s>& ranks, py::array rows, DType dtype,
                  Index period);

// Rows of a history.
template <class Array>
Index depth_of(const Array& history, const Array& rates) {
  if (rates.size() == 0 || history.size() == 0 || history.size() % rates.size())
    throw py::value_error("history does not fit rates");
  return history.size() / rates.size();
}

// Values of one trial in an array that equations read or write.
Index period_of(Index elements, Index batch, Index units);
void check_output(Index period, Index units);

}  // namespace weightsharing::bindings
