// What a step does beside projections: copies, updates, histories, frames, checks, noise.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cuda/exchange.cuh"
#include "cuda/history.cuh"
#include "cuda/level.cuh"
#include "cuda/update.cuh"
#include "kernels/cases.h"

namespace weightsharing::cuda {

template <class T>
void time_keepers() {
  for (int elements : {1, 3, 4, 255, 257})
    for (int off : {0, 1}) {
      int64_t step = 7;
      Array<T> from(elements, off), to(3 * elements);
      std::vector<T> wanted(to.data, to.data + to.size);
      const dim3 grid(static_cast<unsigned>(divide_up(elements, 64 * 16 / sizeof(T))));
      emulation::launch<&copy<T>>(grid, dim3(64), CopyParameters<T>{from.data, to.data, &step, elements, 3});
      std::copy(from.data, from.data + elements, wanted.begin() + 1 * elements);
      for (std::size_t i = 0; i < wanted.size(); ++i) compare("copy", to.data[i], wanted[i], 0);
      emulation::launch<&copy<T>>(grid, dim3(64), CopyParameters<T>{nullptr, to.data, &step, elements, 1});
      for (int i = 0; i < elements; ++i) compare("clear", to.data[i], T(0), 0);
      emulation::launch<&advance<1>>(dim3(1), dim3(32), AdvanceParameters{&step});
      if (step != 8) differ("advance");

      const Code twice = Code()(Opcode::load, 0, 0)(Opcode::add, 0, 0, 0)(Opcode::store, 0, 0);
      const Source<T> source{nullptr, to.data, &step, elements, 3, 9};  // row (8 - 9) mod 3 = 2
      Array<T> doubled(elements);
      emulation::launch<&apply<T>>(
          dim3(static_cast<unsigned>(divide_up(elements, 64))), dim3(64),
          ApplyParameters<T>{source, doubled.data, elements, twice.program<T>(nullptr)});
      for (int i = 0; i < elements; ++i) compare("apply", doubled.data[i], 2 * to.data[2 * elements + i], 0);

      // r = x + t; count += r, one value per trial, written by unit 0
      const Code equations = Code()(Opcode::load, 0, 0)(Opcode::load, 1, 1)(Opcode::add, 0, 0, 1)(
          Opcode::store, 0, 0)(Opcode::load, 1, 2)(Opcode::add, 1, 1, 0)(Opcode::store, 1, 1);
      Array<T> x(2 * elements), r(2 * elements), count(2), count_after(2);
      const Operand<T> inputs[] = {{x.data, elements}, {nullptr, 1}, {count.data, 1}};
      const Operand<T> outputs[] = {{r.data, elements}, {count_after.data, 1}};
      const UpdateParameters<T> both{
          equations.program<T>(nullptr), inputs, outputs, &step, nullptr, 0.5, elements, 2};
      emulation::launch<&update<T>>(dim3(static_cast<unsigned>(divide_up(2 * elements, 64))), dim3(64), both);
      for (int i = 0; i < 2 * elements; ++i) compare("update", r.data[i], x.data[i] + T(4), 0);
      for (int b = 0; b < 2; ++b)
        compare("update", count_after.data[b], count.data[b] + r.data[b * elements], 0);

      // The same update and a copy in one launch, which moves the counter on as well.
      Array<T> again(2 * elements), copied(elements);
      const Operand<T> again_to[] = {{again.data, elements}, {count_after.data, 1}};
      UpdateParameters<T> piece = both;
      piece.outputs = again_to;
      const CopyParameters<T> other{from.data, copied.data, &step, elements, 1};
      // ... and a copy of what the update leaves, by the same threads.
      Array<T> kept(2 * elements);
      const CopyParameters<T> next{again.data, kept.data, &step, 2 * elements, 1};
      std::vector<LevelBlock> blocks;
      std::vector<uint32_t> words[2];
      const auto put = [&](int chain, const auto& parameters, LevelKind kind, int more) {
        const int32_t size = static_cast<int32_t>(sizeof(parameters) / 4);
        const LevelPiece head{kind, size, more, 0};
        const std::size_t place = words[chain].size();
        words[chain].resize(place + 4 + static_cast<std::size_t>(size + 3) / 4 * 4);
        std::memcpy(&words[chain][place], &head, sizeof head);
        std::memcpy(&words[chain][place + 4], &parameters, sizeof(parameters));
        return head;
      };
      const LevelPiece heads[] = {put(0, piece, LevelKind::update, 1), put(1, other, LevelKind::copy, 0)};
      put(0, next, LevelKind::copy_each, 0);
      const int64_t threads[] = {2 * elements, divide_up(elements, 16 / sizeof(T))};
      for (int c : {0, 1})
        for (int32_t k = 0; k * level_threads < threads[c]; ++k)
          blocks.push_back({words[c].data(), heads[c], k});
      int64_t after = 0;
      emulation::launch<&level<T>>(dim3(static_cast<unsigned>(blocks.size())), dim3(level_threads),
                                   LevelParameters{blocks.data(), &step, &after, 1});
      if (after != step + 1) differ("level: counter");
      for (int i = 0; i < 2 * elements; ++i) {
        compare("level: update", again.data[i], r.data[i], 0);
        compare("level: chain", kept.data[i], r.data[i], 0);
      }
      for (int i = 0; i < elements; ++i) compare("level: copy", copied.data[i], from.data[i], 0);
    }
}

// Reductions over time, rates of different ages, frames, rows that are kept, and values that are not finite.
template <class T>
void exchanges() {
  const T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
  for (int units : {1, 5, 300}) {
    const int elements = 2 * units;
    const dim3 grid(static_cast<unsigned>(divide_up(elements, 64))), block(64);
    int64_t step = 7;
    for (int reduction : {reduce_sum, reduce_max, reduce_min}) {
      Array<T> values(elements), out(elements);
      values.data[pick(0, elements - 1)] = nan;
      out.data[pick(0, elements - 1)] = nan;
      const std::vector<T> before(out.data, out.data + elements);
      emulation::launch<&combine_arrays<T>>(
          grid, block, CombineParameters<T>{values.data, out.data, elements, T(3), reduction});
      for (int i = 0; i < elements; ++i) {
        const T a = before[i], b = values.data[i];
        const T larger = a < b ? b : a, smaller = a < b ? a : b;
        const T wanted = a != a || b != b          ? nan
                         : reduction == reduce_max ? larger
                         : reduction == reduce_min ? smaller
                                                   : a + b / T(3);
        compare("combine", out.data[i], wanted, 0);
      }
    }

    Array<T> rates(elements), history(4 * elements), out(elements);
    std::vector<int32_t> delays;
    for (int u = 0; u < units; ++u) delays.push_back(pick(0, 4));
    emulation::launch<&gather_history<T>>(grid, block,
                                          GatherHistoryParameters<T>{rates.data, history.data, delays.data(),
                                                                     out.data, &step, elements, units, 4});
    for (int i = 0; i < elements; ++i) {
      const int delay = delays[i % units];
      compare("gather_history", out.data[i],
              delay ? history.data[(7 - delay) % 4 * elements + i] : rates.data[i], 0);
    }

    for (bool each_trial : {false, true}) {
      const int64_t starts[] = {1, 2, 6};
      const int row = each_trial ? elements : units;
      Array<T> frames(3 * row), shown_on(elements);
      const Shown<T> shown{frames.data, starts, 3, 9, 4, each_trial};
      for (step = 0; step < 30; ++step) {
        const std::vector<T> before(shown_on.data, shown_on.data + elements);
        emulation::launch<&show<T>>(grid, block, ShowParameters<T>{shown_on.data, &shown, &step, units, 2});
        const int64_t place = step < 4 ? -1 : (step - 4) % 9;
        const int frame = place == 1 ? 0 : place == 2 ? 1 : place == 6 ? 2 : -1;
        for (int i = 0; i < elements; ++i)
          compare("show", shown_on.data[i],
                  frame < 0 ? before[i] : frames.data[frame * row + (each_trial ? i : i % units)], 0);
      }
    }

    const int64_t ranks[] = {units - 1, 0};
    Array<T> all(2 * elements), some(2 * 2 * 2);
    const std::vector<T> all_before(all.data, all.data + all.size);
    const Kept<T> kept[] = {{rates.data, nullptr, all.data, units, units, 2, 3, 5, 1, 2},
                            {rates.data, ranks, some.data, units, 2, 2, 8, 1, 0, 2}};
    const Kept<T>* table = kept;
    const int32_t count = 2;
    step = 8;  // row 1 of the first, at place 0; row 0 of the second
    emulation::launch<&keep<T>>(dim3(2), dim3(64), KeepParameters<T>{&table, &count, &step, 128});
    for (int i = 0; i < 2 * elements; ++i)
      compare("keep", all.data[i], i < elements ? rates.data[i] : all_before[i], 0);
    for (int k = 0; k < 4; ++k) compare("keep", some.data[k], rates.data[k / 2 * units + ranks[k % 2]], 0);

    NotFinite found{~0ull, ~0ull};
    const auto look = [&](int number) {
      emulation::launch<&check<T>>(grid, block,
                                   CheckParameters<T>{rates.data, &found, &step, elements, number});
    };
    look(0);
    if (found.step != ~0ull) differ("check: found nothing");
    const int place = pick(0, elements - 1);
    rates.data[place] = -infinity;
    rates.data[elements - 1] = place == elements - 1 ? -infinity : nan;
    look(3);
    look(2);
    ++step;
    look(1);  // too late
    const unsigned long long wanted = 2ull << 48 | static_cast<unsigned long long>(place) << 2 | 2;
    if (found.step != 8 || found.place != wanted) differ("check");
  }
}

// Known answers of Philox (Salmon et al.), and draws that the units of a group share.
template <class T>
void draws() {
  const NoiseWords zeros = philox(0, 0, 0, 0, 0, 0);
  if (zeros.word[0] != 0x6627e8d5u || zeros.word[1] != 0xe169c58du || zeros.word[2] != 0xbc57ac4cu ||
      zeros.word[3] != 0x9b00dbd8u)
    differ("philox");
  const NoiseKey key = noise_key(5, 1, 2);
  for (int64_t unit = 0; unit < 64; ++unit) {
    const UnitNoise noise{key, (int64_t{1} << 33) + 3, unit};
    const int group = sizeof(T) == 4 ? 4 : 2, place = static_cast<int>(unit % group);
    const NoiseWords w = noise_words(key, unit / group, (1ull << 33) + 3, 9);
    const double even[] = {static_cast<double>(uniform_from(w.word[0], w.word[1])),
                           static_cast<double>(uniform_from(w.word[2], w.word[3]))};
    const T uniform =
        sizeof(T) == 4 ? static_cast<T>(uniform_from(w.word[place])) : static_cast<T>(even[place % 2]);
    compare("uniform", noise(false, false, 9, T(0)), uniform, 0);
    const double from = sizeof(T) == 4 ? positive_uniform_from(w.word[place / 2 * 2]) : even[0] + 0x1p-53;
    const double turn = sizeof(T) == 4 ? uniform_from(w.word[place / 2 * 2 + 1]) : even[1];
    const double angle = 6.283185307179586477 * turn, radius = std::sqrt(-2 * std::log(from));
    const double normal = radius * (place % 2 ? std::sin(angle) : std::cos(angle));
    compare("normal", noise(true, false, 9, T(0)), static_cast<T>(normal),
            16 * std::numeric_limits<T>::epsilon());
    const UnitNoise first{key, noise.step, 0};
    compare("noise of the population", noise(true, true, 9, T(0)), first(true, false, 9, T(0)), 0);
  }
}

template void time_keepers<float>();
template void time_keepers<double>();
template void exchanges<float>();
template void exchanges<double>();
template void draws<float>();
template void draws<double>();

}  // namespace weightsharing::cuda
