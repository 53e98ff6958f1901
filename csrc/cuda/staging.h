// What changes from run to run, in device memory: frames that steps show, and rows that they keep. It goes
// there before steps and comes back after, as many at once as memory allows; a captured step names small
// tables only.
#pragma once

#include <memory>
#include <vector>

#include "cuda/memory.h"
#include "cuda/params.h"
#include "cuda/schedule.h"

namespace weightsharing::cuda {

template <class T>
class Staging {
 public:
  explicit Staging(int device);

  // Rates that frames are written over; returns their number.
  int add_input(Index batch, Index units);
  // What a step reads to know what is shown: one Shown<T>.
  const std::shared_ptr<Memory>& shown(int input) const { return inputs_[input].shown; }
  void set_frames(int input, const Frames& frames) { inputs_.at(input).frames = frames; }
  void set_records(std::vector<RecordOnDevice> records);

  bool recording() const { return !records_.empty(); }
  // For the kernel that keeps rows; `threads` of it.
  KeepParameters<T> keep(const std::int64_t* counter, Index threads) const;

  // Prepares steps from `at` on, as many as fit, and returns the step before which they end: `end` or
  // earlier.
  Index stage(Index at, Index end, Stream stream);
  // Brings back the rows of steps at, ..., end - 1.
  void fetch(Index at, Index end, Stream stream);

 private:
  struct Input {
    Index batch, units;
    std::shared_ptr<Memory> shown;
    Frames frames;
    std::shared_ptr<Memory> rows, starts;
    bool showing = false;  // what `shown` says
    Index row() const { return frames.each_trial ? batch * units : units; }
  };
  // Frames [low, high) are all that the steps before `end` show.
  struct FramesPart {
    Index end, low, high;
  };

  static FramesPart part_of(const Frames& frames, Index at, Index end, Index most);
  Index stage_within(Index at, Index end, Stream stream);
  void stage_frames(Input& input, const FramesPart& part, Stream stream);
  void stage_records(Index at, Index end, Stream stream);

  int device_;
  std::vector<Input> inputs_;
  std::vector<RecordOnDevice> records_;
  std::vector<std::shared_ptr<Memory>> ranks_, rows_;  // of each record
  std::shared_ptr<Memory> table_;                      // of records: Kept<T>
  Memory kept_, kept_count_;                           // the address of the table, and its length
  Index most_bytes_;                                   // that may lie there at once
};

}  // namespace weightsharing::cuda
