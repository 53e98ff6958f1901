// Noise: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), a function of
// seed, population, trial, unit, step and occurrence in the equations, so that a draw depends on nothing
// else.
#pragma once

#include "primitives/primitive.h"

namespace weightsharing {

struct NoiseKey {
  unsigned word[2];
};

struct NoiseWords {
  unsigned word[4];
};

WEIGHTSHARING_PRIMITIVE NoiseWords philox(unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned k0,
                                          unsigned k1) {
  for (int round = 0; round < 10; ++round) {
    const unsigned long long first = 0xD2511F53ull * c0, second = 0xCD9E8D57ull * c2;
    c0 = static_cast<unsigned>(second >> 32) ^ c1 ^ k0;
    c2 = static_cast<unsigned>(first >> 32) ^ c3 ^ k1;
    c1 = static_cast<unsigned>(second);
    c3 = static_cast<unsigned>(first);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// The stream of one trial of one population.
WEIGHTSHARING_PRIMITIVE NoiseKey noise_key(unsigned long long seed, unsigned population, unsigned trial) {
  const NoiseWords mixed = philox(population, trial, 0x6E6F6973u, 0, static_cast<unsigned>(seed),
                                  static_cast<unsigned>(seed >> 32));
  return {{mixed.word[0], mixed.word[1]}};
}

// Four words for a group of neighbouring units: four of float32, two of float64. Groups and steps below 2^48.
WEIGHTSHARING_PRIMITIVE NoiseWords noise_words(NoiseKey key, unsigned long long group,
                                               unsigned long long step, unsigned occurrence) {
  const unsigned high = static_cast<unsigned>(group >> 32) | static_cast<unsigned>(step >> 32) << 16;
  return philox(static_cast<unsigned>(group), high, static_cast<unsigned>(step), occurrence, key.word[0],
                key.word[1]);
}

// [0, 1), every value a multiple of 2^-24 or 2^-53.
WEIGHTSHARING_PRIMITIVE float uniform_from(unsigned word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
WEIGHTSHARING_PRIMITIVE double uniform_from(unsigned low, unsigned high) {
  const unsigned long long bits = static_cast<unsigned long long>(high) << 32 | low;
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

// (0, 1], for the logarithm of Box and Muller: a normal float32 reaches 6.7 standard deviations, float64 8.5.
WEIGHTSHARING_PRIMITIVE float positive_uniform_from(unsigned word) {
  return static_cast<float>(word) * 0x1p-32f + 0x1p-33f;
}
WEIGHTSHARING_PRIMITIVE double positive_uniform_from(unsigned low, unsigned high) {
  return uniform_from(low, high) + 0x1p-53;
}

}  // namespace weightsharing
