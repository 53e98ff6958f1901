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

SharedGeometry::SharedGeometry(const SharedArguments& a)
    : pre(a.pre),
      post(a.post),
      bank(a.bank),
      flip(a.flip),
      padding(a.padding),
      filters(1),
      listed(a.centres) {
  check_rank(pre, "pre");
  check_rank(post, "post");
  const int rank = this->rank();
  check_entries(a.strides, "strides", rank, 1);
  check_entries(a.dilation, "dilation", rank, 1);
  check_entries(a.first, "first", rank, 0);
  if (a.anchor && static_cast<int>(a.anchor->size()) != rank)
    refuse("anchor needs one entry for each of the " + std::to_string(rank) + " axes of pre, got " +
           to_string(*a.anchor));
  if (a.extents.empty()) refuse("weights are empty: at least one filter is needed");
  if (bank && a.keep_last_dimension)
    refuse(
        "keep_last_dimension cannot be combined with a bank of filters: connect each filter by a projection "
        "of its own");

  if (bank) {
    filters = static_cast<Index>(a.extents.size());
    if (post.back() != filters)
      refuse("the bank has " + std::to_string(filters) + " filters, but " + pair(pre, post) +
             ": the last axis of post must have one unit per filter");
  }
  // Post axis d belongs to pre axis d; what post lacks is collapsed, a bank's last axis counts the filters.
  Shape grid = post;
  if (bank) grid.pop_back();
  if (static_cast<int>(grid.size()) > rank && !listed) {
    if (bank)
      refuse("a bank needs a post geometry of at most one dimension more than pre, but " + pair(pre, post));
    refuse("one filter cannot feed a post geometry with more dimensions than pre: " + pair(pre, post) +
           "; use connect_filters (multiple=True) for a bank of filters");
  }
  units = volume(post, "post") / filters;
  if (listed && static_cast<Index>(listed->size()) != units * rank)
    refuse("subsampling needs the shape (" + std::to_string(units) + ", " + std::to_string(rank) +
           "), one centre of pre coordinates for each post unit" + (bank ? " of one filter" : "") +
           ", got (" + std::to_string(static_cast<Index>(listed->size()) / rank) + ", " +
           std::to_string(rank) + "); " + pair(pre, post));
  if (listed && (a.strides || a.first)) refuse("subsampling lists the centres: leave out strides and first");

  for (const Shape& extent : a.extents) {
    volume(extent, "a filter");
    const int filter_rank = static_cast<int>(extent.size());
    const std::string what = "the filter has the shape " + to_string(extent) + ", " + pair(pre, post);
    if (a.keep_last_dimension) {
      if (filter_rank != rank - 1)
        refuse(what + ": with keep_last_dimension the filter must have one dimension less than pre (" +
               std::to_string(rank - 1) + ")");
      if (!listed && (static_cast<int>(post.size()) != rank || post.back() != pre.back()))
        refuse(what +
               ": with keep_last_dimension pre and post must have the same number of dimensions and the same "
               "number of units in the last one");
    } else if (filter_rank < rank) {
      refuse(what +
             ": the filter has fewer dimensions than pre; set keep_last_dimension=True to apply it to each "
             "slice of the last axis, or give it an axis of size 1");
    } else if (filter_rank > rank) {
      refuse(what +
             ": the filter has more dimensions than pre; use connect_filters (multiple=True) for a bank of "
             "filters");
    }

    std::vector<Axis> box(rank);
    for (int d = 0; d < rank; ++d) {
      Axis& x = box[d];
      const std::string on_axis = " on axis " + std::to_string(d);
      const bool slice = a.keep_last_dimension && d == rank - 1;
      x.pre = pre[d];
      x.taps = slice ? 1 : extent[d];
      x.dilation = !slice && a.dilation ? (*a.dilation)[d] : 1;
      const Index centre = !slice && a.anchor ? (*a.anchor)[d] : middle(x.taps);
      if (centre < 0 || centre >= x.taps)
        refuse("anchor=" + std::to_string(centre) + on_axis + ": expected an element of the filter, 0 to " +
               std::to_string(x.taps - 1));
      Index reach;  // from the first tap to the last one
      if (__builtin_mul_overflow(x.taps - 1, x.dilation, &reach) || reach > (Index{1} << 56))
        refuse("dilation=" + std::to_string(x.dilation) + on_axis + " is too large for " +
               std::to_string(x.taps) + " taps");
      const Index before =
          x.dilation * (flip ? x.taps - 1 - centre : centre);  // from the first tap to the centre

      if (listed) {
        x.offset = -before;
        for (Index u = 0; u < units; ++u) {
          const Index c = (*listed)[u * rank + d];
          if (c < 0 || c >= x.pre)
            refuse("subsampling: the centre " + std::to_string(c) + on_axis + " of post unit " +
                   std::to_string(u) + " lies outside pre " + to_string(pre));
          if (padding == Padding::valid && (c - before < 0 || c - before + reach >= x.pre))
            refuse("padding='valid': the filter " + to_string(extent) + " around the centre " +
                   std::to_string(c) + on_axis + " of post unit " + std::to_string(u) +
                   " reaches outside pre " + to_string(pre));
        }
        continue;
      }

      const bool lacking = d >= static_cast<int>(grid.size());
      x.post = lacking ? 1 : grid[d];
      if (slice) {
        x.post = x.pre;
      } else if (lacking || (x.post == 1 && x.taps == x.pre)) {
        // Collapsed: the filter spans the axis, element k meets weight k (reversed when flipped).
        if (x.taps != x.pre)
          refuse(what + ": post lacks axis " + std::to_string(d) + ", so the filter must span it (" +
                 std::to_string(x.pre) + " elements instead of " + std::to_string(x.taps) + ")");
        x.dilation = 1;
        x.first = middle(x.taps);
      } else if (padding == Padding::valid) {
        if (a.first) refuse("padding='valid' places the first filter itself: leave out first");
        x.stride = a.strides ? (*a.strides)[d] : 1;
        const Index fitting = reach < x.pre ? (x.pre - reach - 1) / x.stride + 1 : 0;
        if (fitting < 1)
          refuse(what + ": padding='valid' leaves no unit" + on_axis +
                 ", the filter is larger than pre; use a smaller filter or another padding");
        if (fitting != x.post)
          refuse(what + ": padding='valid' gives " + std::to_string(fitting) + " units" + on_axis +
                 ", post has " + std::to_string(x.post));
        x.first = before;
      } else {
        if (a.strides) {
          x.stride = (*a.strides)[d];
        } else if (x.pre % x.post) {
          refuse(what + ": " + std::to_string(x.pre) + on_axis + " is not a multiple of " +
                 std::to_string(x.post) + "; list the centres with subsampling, or give strides");
        } else {
          x.stride = x.pre / x.post;
        }
        x.first = a.first ? (*a.first)[d] : a.strides ? 0 : (x.stride - 1) / 2;
        // (pre - 1 - first) / stride instead of a product that may overflow
        if (x.first >= x.pre || (x.pre - 1 - x.first) / x.stride < x.post - 1)
          refuse(what + ": with first=" + std::to_string(x.first) + " and a stride of " +
                 std::to_string(x.stride) + on_axis + " the last centre lies outside pre");
        x.offset = x.first - before;
      }
    }
    // The stride of a single unit moves nothing; whatever the user gave, its products must not overflow.
    for (Axis& x : box)
      if (x.post == 1) x.stride = 1;
    axes.push_back(std::move(box));
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
