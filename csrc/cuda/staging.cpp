#include "cuda/staging.h"

#include <algorithm>
#include <utility>

namespace weightsharing::cuda {
namespace {

// Host memory that a run takes or leaves in one piece, at most, while the device has so much.
constexpr Index most_staged_bytes = Index{256} << 20;

Index divide_up(Index a, Index b) { return (a + b - 1) / b; }

// Device memory of at least so many bytes; the old content may be lost.
void reserve(std::shared_ptr<Memory>& memory, Index bytes, int device) {
  if (memory && static_cast<Index>(memory->bytes()) >= bytes) return;
  memory.reset();
  memory = std::make_shared<Memory>(static_cast<std::size_t>(bytes), device);
}

// Rows of a record from the first that step `at` or a later one fills to the last before step `end`.
struct RowsPart {
  Index first, count;
};

RowsPart rows_of(const RecordOnDevice& r, Index at, Index end) {
  const auto rows_before = [&](Index step) {
    return step <= r.first ? 0 : std::min(divide_up(step - r.first, r.period), r.row_count);
  };
  return {rows_before(at), rows_before(end) - rows_before(at)};
}

}  // namespace

template <class T>
Staging<T>::Staging(int device)
    : device_(device),
      kept_(sizeof(const Kept<T>*), device),
      kept_count_(sizeof(std::int32_t), device),
      most_bytes_(most_staged_bytes) {}

template <class T>
int Staging<T>::add_input(Index batch, Index units) {
  inputs_.push_back({batch, units, upload(std::vector<Shown<T>>{{}}, device_), {}, nullptr, nullptr, false});
  return static_cast<int>(inputs_.size()) - 1;
}

template <class T>
void Staging<T>::set_records(std::vector<RecordOnDevice> records) {
  records_ = std::move(records);
  ranks_.clear();
  for (const RecordOnDevice& record : records_) ranks_.push_back(upload(record.ranks, device_));
}

template <class T>
KeepParameters<T> Staging<T>::keep(const std::int64_t* counter, Index threads) const {
  return {static_cast<const Kept<T>* const*>(kept_.data()),
          static_cast<const std::int32_t*>(kept_count_.data()), counter, threads};
}

template <class T>
Index Staging<T>::stage(Index at, Index end, Stream stream) {
  for (;;) {
    try {
      return stage_within(at, end, stream);
    } catch (const DeviceMemoryError&) {
      if (most_bytes_ < 4096) throw;
      most_bytes_ /= 2;
      rows_.clear();
      for (Input& input : inputs_) input.rows.reset();
    }
  }
}

template <class T>
typename Staging<T>::FramesPart Staging<T>::part_of(const Frames& f, Index at, Index end, Index most) {
  if (!f.data || end <= f.origin) return {end, 0, 0};
  const Index begin = std::max(at, f.origin);
  if (f.period && end - begin >= f.period && f.count <= most) return {end, 0, f.count};
  Index place = begin - f.origin;
  if (f.period) {
    place %= f.period;
    end = std::min(end, begin + f.period - place);
  }
  const std::int64_t* last = f.starts + f.count;
  const Index low = std::lower_bound(f.starts, last, place) - f.starts;
  const Index high = std::lower_bound(f.starts, last, place + end - begin) - f.starts;
  if (high - low <= most) return {end, low, high};
  return {begin + f.starts[low + most] - place, low, low + most};
}

template <class T>
Index Staging<T>::stage_within(Index at, Index end, Stream stream) {
  const Index share = most_bytes_ / std::max<Index>(1, static_cast<Index>(inputs_.size() + records_.size()));
  const auto rows_in = [&](Index row) {
    return std::max<Index>(1, share / std::max<Index>(1, row * static_cast<Index>(sizeof(T))));
  };
  for (const Input& input : inputs_)
    end = std::min(end, part_of(input.frames, at, end, rows_in(input.row())).end);
  for (const RecordOnDevice& r : records_) {
    const RowsPart part = rows_of(r, at, end);
    const Index most = rows_in(r.batch * r.kept);
    if (part.count > most) end = r.first + (part.first + most) * r.period;
  }
  for (Input& input : inputs_)
    stage_frames(input, part_of(input.frames, at, end, rows_in(input.row())), stream);
  stage_records(at, end, stream);
  return end;
}

template <class T>
void Staging<T>::stage_frames(Input& input, const FramesPart& part, Stream stream) {
  const Frames& f = input.frames;
  const Index count = part.high - part.low, row_bytes = input.row() * static_cast<Index>(sizeof(T));
  Shown<T> shown{};
  if (!count && !input.showing) return;
  input.showing = count > 0;
  if (count) {
    const Index starts_bytes = count * static_cast<Index>(sizeof(std::int64_t));
    reserve(input.rows, count * row_bytes, device_);
    reserve(input.starts, starts_bytes, device_);
    input.rows->upload(static_cast<const std::byte*>(f.data) + part.low * row_bytes,
                       static_cast<std::size_t>(count * row_bytes), stream);
    input.starts->upload(f.starts + part.low, static_cast<std::size_t>(starts_bytes), stream);
    shown = {static_cast<const T*>(input.rows->data()),
             static_cast<const std::int64_t*>(input.starts->data()),
             count,
             f.period,
             f.origin,
             f.each_trial};
  }
  input.shown->upload(&shown, stream);
}

template <class T>
void Staging<T>::stage_records(Index at, Index end, Stream stream) {
  if (records_.empty()) return;
  rows_.resize(std::max(rows_.size(), records_.size()));
  std::vector<Kept<T>> table;
  for (std::size_t k = 0; k < records_.size(); ++k) {
    const RecordOnDevice& r = records_[k];
    const RowsPart part = rows_of(r, at, end);
    if (!part.count) continue;
    reserve(rows_[k], part.count * r.batch * r.kept * static_cast<Index>(sizeof(T)), device_);
    const std::int64_t* ranks =
        r.ranks.empty() ? nullptr : static_cast<const std::int64_t*>(ranks_[k]->data());
    table.push_back({static_cast<const T*>(r.values->data()), ranks, static_cast<T*>(rows_[k]->data()),
                     r.units, r.kept, r.batch, r.first, r.period, part.first, part.count});
  }
  const auto count = static_cast<std::int32_t>(table.size());
  if (count) {
    reserve(table_, count * static_cast<Index>(sizeof(Kept<T>)), device_);
    table_->upload(table.data(), table.size() * sizeof(Kept<T>), stream);
  }
  const void* address = count ? table_->data() : nullptr;
  kept_.upload(&address, stream);
  kept_count_.upload(&count, stream);
}

template <class T>
void Staging<T>::fetch(Index at, Index end, Stream stream) {
  for (std::size_t k = 0; k < records_.size(); ++k) {
    const RecordOnDevice& r = records_[k];
    const RowsPart part = rows_of(r, at, end);
    const Index row_bytes = r.batch * r.kept * static_cast<Index>(sizeof(T));
    if (part.count && row_bytes)
      rows_[k]->download(static_cast<std::byte*>(r.rows) + part.first * row_bytes,
                         static_cast<std::size_t>(part.count * row_bytes), stream);
  }
}

template class Staging<float>;
template class Staging<double>;

}  // namespace weightsharing::cuda
