// Noise of equations: one draw for one unit, the same bits as on every other backend.
#pragma once

#include "cuda/device.h"
#include "cuda/params.h"
#include "primitives/random.h"

namespace weightsharing::cuda {

// For programs that draw none: those of a psp.
struct NoNoise {
  template <class T>
  inline __device__ T operator()(bool, bool, int32_t, T zero) const {
    return zero;
  }
};

inline __device__ float uniform_draw(const NoiseWords& words, int32_t place, float) {
  return uniform_from(words.word[place]);
}
inline __device__ double uniform_draw(const NoiseWords& words, int32_t place, double) {
  return uniform_from(words.word[2 * place], words.word[2 * place + 1]);
}

// Box and Muller: the first unit of a pair takes the cosine, the second the sine.
inline __device__ float normal_draw(const NoiseWords& words, int32_t place, float) {
  const float radius = ::sqrtf(-2.0f * ::logf(positive_uniform_from(words.word[place / 2 * 2])));
  const float angle = 6.283185307179586477f * uniform_from(words.word[place / 2 * 2 + 1]);
  return radius * (place % 2 ? ::sinf(angle) : ::cosf(angle));
}
inline __device__ double normal_draw(const NoiseWords& words, int32_t place, double) {
  const double radius = ::sqrt(-2.0 * ::log(positive_uniform_from(words.word[0], words.word[1])));
  const double angle = 6.283185307179586477 * uniform_from(words.word[2], words.word[3]);
  return radius * (place % 2 ? ::sin(angle) : ::cos(angle));
}

// The noise of one unit of one trial in one step: draw(normal, of_population, occurrence, T(0)) is its raw
// draw at that place of the equations, even in [0, 1) or standard normal; `of_population`: that of unit 0.
// The last argument only names the type.
struct UnitNoise {
  NoiseKey key;
  int64_t step, unit;

  template <class T>
  inline __device__ T operator()(bool normal, bool of_population, int32_t occurrence, T type) const {
    constexpr int32_t group = 16 / sizeof(T);  // neighbouring units that share the words of one counter
    const int64_t drawing = of_population ? 0 : unit;
    const NoiseWords words =
        noise_words(key, static_cast<unsigned long long>(drawing / group),
                    static_cast<unsigned long long>(step), static_cast<unsigned>(occurrence));
    const int32_t place = static_cast<int32_t>(drawing % group);
    return normal ? normal_draw(words, place, type) : uniform_draw(words, place, type);
  }
};

}  // namespace weightsharing::cuda
