#include "bindings/arrays.h"

namespace weightsharing::bindings {

DType dtype_of(const std::string& name) {
  if (name == "float32") return DType::float32;
  if (name == "float64") return DType::float64;
  throw py::value_error("dtype '" + name + "': expected 'float32' or 'float64'");
}

const char* name_of(DType dtype) { return dtype == DType::float32 ? "float32" : "float64"; }

const void* readable(const py::array& array, DType dtype, const char* name) {
  const bool right = dtype == DType::float32 ? py::isinstance<py::array_t<float>>(array)
                                             : py::isinstance<py::array_t<double>>(array);
  if (!right) throw py::type_error(std::string(name) + " has the wrong dtype");
  if (!(array.flags() & py::array::c_style))
    throw py::value_error(std::string(name) + " is not C-contiguous");
  return array.data();
}

void* writable(py::array& array, DType dtype, const char* name) {
  readable(array, dtype, name);
  if (!array.writeable()) throw py::value_error(std::string(name) + " is read-only");
  return array.mutable_data();
}

namespace {

void check_elements(const py::array& array, Index elements, const char* name) {
  if (array.size() != elements)
    throw py::value_error(std::string(name) + " has " + std::to_string(array.size()) +
                          " elements, expected " + std::to_string(elements));
}

}  // namespace

const void* readable(const py::array& array, DType dtype, Index elements, const char* name) {
  const void* address = readable(array, dtype, name);
  check_elements(array, elements, name);
  return address;
}

void* writable(py::array& array, DType dtype, Index elements, const char* name) {
  readable(array, dtype, elements, name);
  return writable(array, dtype, name);
}

Frames frames_of(const BoundInput& input, DType dtype, const std::optional<py::array>& frames,
                 const Int64s& starts, Index period, Index origin) {
  Frames f;
  if (!frames) return f;
  const Index count = starts.size(), one = input.units, all = input.batch * input.units;
  if (count < 1 || (frames->size() != count * one && frames->size() != count * all))
    throw py::value_error("frames do not fit the rates");
  f.data = readable(*frames, dtype, "frames");
  f.each_trial = input.batch > 1 && frames->size() == count * all;
  f.starts = starts.data();
  f.count = count;
  f.period = period;
  f.origin = origin;
  return f;
}

BoundRows rows_of(Index elements, const std::optional<Int64s>& ranks, py::array rows, DType dtype,
                  Index period) {
  if (rows.ndim() < 2 || period < 1) throw py::value_error("rows are (rows, batch, ...)");
  BoundRows r{};
  r.row_count = rows.shape(0);
  r.batch = rows.shape(1);
  if (r.batch < 1 || elements % r.batch) throw py::value_error("rows do not fit values");
  r.units = elements / r.batch;
  r.kept = ranks ? ranks->size() : r.units;
  if (rows.size() != r.row_count * r.batch * r.kept) throw py::value_error("rows do not fit values");
  for (Index k = 0; ranks && k < r.kept; ++k)
    if (ranks->data()[k] < 0 || ranks->data()[k] >= r.units) throw py::value_error("a rank is out of range");
  r.rows = writable(rows, dtype, "rows");
  return r;
}

Index period_of(Index elements, Index batch, Index units) {
  const Index period = elements / batch;
  if (period < 1 || period * batch != elements || units % period)
    throw py::value_error("an array of the equations does not fit the population");
  return period;
}

void check_output(Index period, Index units) {
  if (period != 1 && period != units)
    throw py::value_error("an output has one value per unit, or one for all");
}

}  // namespace weightsharing::bindings
