// From the user's words to coordinates: shapes are checked here and nowhere else.
#include <algorithm>
#include <stdexcept>

#include "weightsharing/engine.h"
#include "weightsharing/projection.h"

namespace weightsharing {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

std::string pair(const Shape& pre, const Shape& post) {
  return "pre has the geometry " + to_string(pre) + ", post " + to_string(post);
}

// Index of the centre of a filter of `taps` elements: the middle one, or the left one of the two middle ones.
Index middle(Index taps) { return taps % 2 ? taps / 2 : taps / 2 - 1; }

void check_entries(const std::optional<Shape>& values, const char* name, int rank, Index lowest) {
  if (!values) return;
  if (static_cast<int>(values->size()) != rank)
    refuse(std::string(name) + " needs one entry for each of the " + std::to_string(rank) +
           " axes of pre, got " + to_string(*values));
  for (Index value : *values)
    if (value < lowest)
      refuse(std::string(name) + "=" + to_string(*values) + ": every entry must be at least " +
             std::to_string(lowest));
}

void check_rank(const Shape& shape, const char* name) {
  if (shape.empty() || shape.size() > max_rank)
    refuse(std::string(name) + " has the geometry " + to_string(shape) + ": 1 to 4 dimensions are supported");
  volume(shape, name);
}

}  // namespace

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

Index volume(const Shape& shape, const char* name) {
  Index product = 1;
  for (Index extent : shape) {
    if (extent < 1)
      refuse(std::string(name) + " has the shape " + to_string(shape) + ": every extent must be positive");
    if (__builtin_mul_overflow(product, extent, &product) || product > (Index{1} << 58))
      refuse(std::string(name) + " has the shape " + to_string(shape) +
             ": more elements than can be addressed");
  }
  return product;
}

Operation operation_from(const std::string& name) {
  for (Operation o : {Operation::sum, Operation::max, Operation::min, Operation::mean})
    if (name == name_of(o)) return o;
  refuse("operation='" + name + "': expected 'sum', 'max', 'min' or 'mean'");
}

Algorithm algorithm_from(const std::string& name) {
  if (name == "auto") return Algorithm::automatic;
  if (name == "direct") return Algorithm::direct;
  if (name == "3xtf32") return Algorithm::tf32x3;
  refuse("algorithm='" + name + "': expected 'auto', 'direct' or '3xtf32'");
}

Padding padding_from(const std::string& name) {
  for (Padding p :
       {Padding::constant, Padding::border, Padding::reflect, Padding::wrap, Padding::ignore, Padding::valid})
    if (name == name_of(p)) return p;
  refuse("padding='" + name + "': expected a number, 'border', 'reflect', 'wrap', 'ignore' or 'valid'");
}

const char* name_of(Operation operation) {
  constexpr const char* names[] = {"sum", "max", "min", "mean"};
  return names[static_cast<int>(operation)];
}

const char* name_of(Padding padding) {
  constexpr const char* names[] = {"constant", "border", "reflect", "wrap", "ignore", "valid"};
  return names[static_cast<int>(padding)];
}

namespace {

void check_arguments(const SharedArguments& a) {
  check_rank(a.pre, "pre");
  check_rank(a.post, "post");
  const int rank = static_cast<int>(a.pre.size());
  check_entries(a.strides, "strides", rank, 1);
  check_entries(a.dilation, "dilation", rank, 1);
  check_entries(a.first, "first", rank, 0);
  if (a.anchor && static_cast<int>(a.anchor->size()) != rank)
    refuse("anchor needs one entry for each of the " + std::to_string(rank) + " axes of pre, got " +
           to_string(*a.anchor));
  if (a.extents.empty()) refuse("weights are empty: at least one filter is needed");
  if (a.bank && a.keep_last_dimension)
    refuse(
        "keep_last_dimension cannot be combined with a bank of filters: connect each filter by a projection "
        "of its own");
}

// Post axis d belongs to pre axis d; what post lacks is collapsed, a bank's last axis counts the filters.
Shape grid_of(const SharedArguments& a) {
  Shape grid = a.post;
  if (a.bank) {
    if (a.post.back() != static_cast<Index>(a.extents.size()))
      refuse("the bank has " + std::to_string(a.extents.size()) + " filters, but " + pair(a.pre, a.post) +
             ": the last axis of post must have one unit per filter");
    grid.pop_back();
  }
  if (grid.size() > a.pre.size() && !a.centres) {
    if (a.bank)
      refuse("a bank needs a post geometry of at most one dimension more than pre, but " +
             pair(a.pre, a.post));
    refuse("one filter cannot feed a post geometry with more dimensions than pre: " + pair(a.pre, a.post) +
           "; use connect_filters (multiple=True) for a bank of filters");
  }
  return grid;
}

void check_listed(const SharedArguments& a, Index units) {
  const Index rank = static_cast<Index>(a.pre.size()), entries = static_cast<Index>(a.centres->size());
  if (entries != units * rank)
    refuse("subsampling needs the shape (" + std::to_string(units) + ", " + std::to_string(rank) +
           "), one centre of pre coordinates for each post unit" + (a.bank ? " of one filter" : "") +
           ", got (" + std::to_string(entries / rank) + ", " + std::to_string(rank) + "); " +
           pair(a.pre, a.post));
  if (a.strides || a.first) refuse("subsampling lists the centres: leave out strides and first");
}

// One filter of the arguments, as messages call it.
struct Filter {
  const SharedArguments& arguments;
  const Shape& extent;
  std::string what;
};

void check_filter_rank(const Filter& f) {
  const SharedArguments& a = f.arguments;
  const std::size_t filter_rank = f.extent.size(), rank = a.pre.size();
  if (a.keep_last_dimension) {
    if (filter_rank != rank - 1)
      refuse(f.what + ": with keep_last_dimension the filter must have one dimension less than pre (" +
             std::to_string(rank - 1) + ")");
    if (!a.centres && (a.post.size() != rank || a.post.back() != a.pre.back()))
      refuse(f.what +
             ": with keep_last_dimension pre and post must have the same number of dimensions and the same "
             "number of units in the last one");
  } else if (filter_rank < rank) {
    refuse(f.what +
           ": the filter has fewer dimensions than pre; set keep_last_dimension=True to apply it to each "
           "slice of the last axis, or give it an axis of size 1");
  } else if (filter_rank > rank) {
    refuse(f.what +
           ": the filter has more dimensions than pre; use connect_filters (multiple=True) for a bank of "
           "filters");
  }
}

// Taps along one axis of pre, wherever they are centred.
struct AxisTaps {
  int d;
  std::string on_axis;  // of messages
  bool slice;           // the axis that keep_last_dimension keeps
  Index pre, taps, dilation;
  Index reach;   // coordinates from the first tap to the last one
  Index before;  // coordinates from the first tap to the centre
};

AxisTaps taps_along(const Filter& f, int d) {
  const SharedArguments& a = f.arguments;
  AxisTaps t;
  t.d = d;
  t.on_axis = " on axis " + std::to_string(d);
  t.slice = a.keep_last_dimension && d + 1 == static_cast<int>(a.pre.size());
  t.pre = a.pre[d];
  t.taps = t.slice ? 1 : f.extent[d];
  t.dilation = !t.slice && a.dilation ? (*a.dilation)[d] : 1;
  const Index centre = !t.slice && a.anchor ? (*a.anchor)[d] : middle(t.taps);
  if (centre < 0 || centre >= t.taps)
    refuse("anchor=" + std::to_string(centre) + t.on_axis + ": expected an element of the filter, 0 to " +
           std::to_string(t.taps - 1));
  if (__builtin_mul_overflow(t.taps - 1, t.dilation, &t.reach) || t.reach > (Index{1} << 56))
    refuse("dilation=" + std::to_string(t.dilation) + t.on_axis + " is too large for " +
           std::to_string(t.taps) + " taps");
  t.before = t.dilation * (a.flip ? t.taps - 1 - centre : centre);
  return t;
}

Axis listed_axis(const Filter& f, const AxisTaps& t, Index units) {
  const SharedArguments& a = f.arguments;
  const Index rank = static_cast<Index>(a.pre.size());
  for (Index u = 0; u < units; ++u) {
    const Index c = (*a.centres)[u * rank + t.d];
    if (c < 0 || c >= t.pre)
      refuse("subsampling: the centre " + std::to_string(c) + t.on_axis + " of post unit " +
             std::to_string(u) + " lies outside pre " + to_string(a.pre));
    if (a.padding == Padding::valid && (c - t.before < 0 || c - t.before + t.reach >= t.pre))
      refuse("padding='valid': the filter " + to_string(f.extent) + " around the centre " +
             std::to_string(c) + t.on_axis + " of post unit " + std::to_string(u) + " reaches outside pre " +
             to_string(a.pre));
  }
  Axis x;
  x.pre = t.pre;
  x.taps = t.taps;
  x.dilation = t.dilation;
  x.offset = -t.before;
  return x;
}

// The filter spans the axis, element k meets weight k (reversed when flipped).
void collapse(Axis& x, const Filter& f, const AxisTaps& t) {
  if (x.taps != x.pre)
    refuse(f.what + ": post lacks axis " + std::to_string(t.d) + ", so the filter must span it (" +
           std::to_string(x.pre) + " elements instead of " + std::to_string(x.taps) + ")");
  x.dilation = 1;
  x.first = middle(x.taps);
}

// padding='valid': the leftmost tap of the first unit at 0, all taps inside.
void place_inside(Axis& x, const Filter& f, const AxisTaps& t) {
  const SharedArguments& a = f.arguments;
  if (a.first) refuse("padding='valid' places the first filter itself: leave out first");
  x.stride = a.strides ? (*a.strides)[t.d] : 1;
  const Index fitting = t.reach < x.pre ? (x.pre - t.reach - 1) / x.stride + 1 : 0;
  if (fitting < 1)
    refuse(f.what + ": padding='valid' leaves no unit" + t.on_axis +
           ", the filter is larger than pre; use a smaller filter or another padding");
  if (fitting != x.post)
    refuse(f.what + ": padding='valid' gives " + std::to_string(fitting) + " units" + t.on_axis +
           ", post has " + std::to_string(x.post));
  x.first = t.before;
}

void place_centres(Axis& x, const Filter& f, const AxisTaps& t) {
  const SharedArguments& a = f.arguments;
  if (a.strides) {
    x.stride = (*a.strides)[t.d];
  } else if (x.pre % x.post) {
    refuse(f.what + ": " + std::to_string(x.pre) + t.on_axis + " is not a multiple of " +
           std::to_string(x.post) + "; list the centres with subsampling, or give strides");
  } else {
    x.stride = x.pre / x.post;
  }
  x.first = a.first ? (*a.first)[t.d] : a.strides ? 0 : (x.stride - 1) / 2;
  // (pre - 1 - first) / stride instead of a product that may overflow
  if (x.first >= x.pre || (x.pre - 1 - x.first) / x.stride < x.post - 1)
    refuse(f.what + ": with first=" + std::to_string(x.first) + " and a stride of " +
           std::to_string(x.stride) + t.on_axis + " the last centre lies outside pre");
  x.offset = x.first - t.before;
}

Axis regular_axis(const Filter& f, const AxisTaps& t, const Shape& grid) {
  Axis x;
  x.pre = t.pre;
  x.taps = t.taps;
  x.dilation = t.dilation;
  const bool lacking = t.d >= static_cast<int>(grid.size());
  x.post = lacking ? 1 : grid[t.d];
  if (t.slice)
    x.post = x.pre;
  else if (lacking || (x.post == 1 && x.taps == x.pre))
    collapse(x, f, t);
  else if (f.arguments.padding == Padding::valid)
    place_inside(x, f, t);
  else
    place_centres(x, f, t);
  // The stride of a single unit moves nothing; whatever the user gave, its products must not overflow.
  if (x.post == 1) x.stride = 1;
  return x;
}

}  // namespace

SharedGeometry::SharedGeometry(const SharedArguments& a)
    : pre(a.pre),
      post(a.post),
      bank(a.bank),
      flip(a.flip),
      padding(a.padding),
      filters(a.bank ? static_cast<Index>(a.extents.size()) : 1),
      listed(a.centres) {
  check_arguments(a);
  const Shape grid = grid_of(a);
  units = volume(post, "post") / filters;
  if (listed) check_listed(a, units);
  for (const Shape& extent : a.extents) {
    volume(extent, "a filter");
    const Filter filter{a, extent, "the filter has the shape " + to_string(extent) + ", " + pair(pre, post)};
    check_filter_rank(filter);
    std::vector<Axis>& box = axes.emplace_back();
    for (int d = 0; d < rank(); ++d) {
      const AxisTaps taps = taps_along(filter, d);
      box.push_back(listed ? listed_axis(filter, taps, units) : regular_axis(filter, taps, grid));
    }
  }
  if (!bank && axes.size() != 1) refuse("several filters need multiple=True (connect_filters)");
}

Index SharedGeometry::taps(Index filter) const {
  Index product = 1;
  for (const Axis& x : axes[filter]) product *= x.taps;
  return product;
}

std::vector<Index> SharedGeometry::centre(Index unit) const {
  std::vector<Index> coordinates(rank());
  if (listed) {
    for (int d = 0; d < rank(); ++d) coordinates[d] = (*listed)[unit * rank() + d];
    return coordinates;
  }
  for (int d = rank() - 1; d >= 0; --d) {
    const Axis& x = axes[0][d];
    coordinates[d] = x.first + x.stride * (unit % x.post);
    unit /= x.post;
  }
  return coordinates;
}

PoolingGeometry::PoolingGeometry(const Shape& pre, const Shape& post, const std::optional<Shape>& extent,
                                 const std::optional<Shape>& stride)
    : pre(pre), post(post) {
  check_rank(pre, "pre");
  check_rank(post, "post");
  const int rank = static_cast<int>(pre.size());
  if (post.size() > pre.size())
    refuse("pooling cannot add dimensions: " + pair(pre, post) + "; give post at most as many as pre");
  check_entries(extent, "extent", rank, 1);
  check_entries(stride, "stride", rank, 1);
  if (!extent && post.size() != pre.size())
    refuse("pooling without extent needs the same number of dimensions: " + pair(pre, post) +
           "; give extent");
  for (int d = 0; d < rank; ++d) {
    Axis x;
    x.pre = pre[d];
    const bool lacking = d >= static_cast<int>(post.size());
    x.post = lacking ? 1 : post[d];
    if (extent) {
      x.taps = (*extent)[d];
    } else {
      if (x.pre % x.post)
        refuse("pooling without extent: " + std::to_string(x.pre) + " on axis " + std::to_string(d) +
               " is not a multiple of " + std::to_string(x.post) + " (" + pair(pre, post) + "); give extent");
      x.taps = x.pre / x.post;
    }
    x.stride = stride ? (*stride)[d] : x.taps;
    if (lacking && x.taps < x.pre)
      refuse("pooling: post lacks axis " + std::to_string(d) + ", so the extent must cover it (" +
             std::to_string(x.pre) + "), got " + std::to_string(x.taps) + "; " + pair(pre, post));
    if (x.post > 1 && (x.pre - 1) / x.stride < x.post - 1)
      refuse("pooling: with a stride of " + std::to_string(x.stride) + " on axis " + std::to_string(d) +
             " the last region lies wholly outside pre; " + pair(pre, post));
    this->extent.push_back(x.taps);
    this->stride.push_back(x.stride);
    x.taps = std::min(x.taps, x.pre);  // boxes are clipped
    if (x.post == 1) x.stride = 1;     // the stride of a single unit moves nothing
    axes.push_back(x);
  }
}

SynapsesGeometry::SynapsesGeometry(Index pre_size, Index post_size, std::vector<Index> starts,
                                   std::vector<Index> columns)
    : pre(pre_size), post(post_size), row_start(std::move(starts)), column(std::move(columns)) {
  if (static_cast<Index>(row_start.size()) != post + 1 || row_start.front() != 0 ||
      row_start.back() != static_cast<Index>(column.size()))
    refuse("row_start must have post size + 1 entries, from 0 to the number of synapses");
  for (Index q = 0; q < post; ++q)
    if (row_start[q] > row_start[q + 1]) refuse("row_start must not decrease");
  for (Index c : column)
    if (c < 0 || c >= pre)
      refuse("a synapse names pre unit " + std::to_string(c) + ", pre has " + std::to_string(pre));
}

}  // namespace weightsharing
