// Which instruction set the kernels are taken from: chosen once per engine.
#pragma once

#include "cpu/kernels.h"

namespace weightsharing::cpu {

Isa current_isa();

template <class T>
const Kernels<T>& kernels(Isa isa);

}  // namespace weightsharing::cpu
