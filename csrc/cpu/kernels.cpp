// All kernels of one instruction set: compiled once for each, with WEIGHTSHARING_ISA naming the namespace.
// Everything but the two tables has internal linkage.
#include "cpu/bank.h"
#include "cpu/flat.h"
#include "cpu/gather.h"
#include "cpu/lowrank.h"
#include "cpu/pool.h"
#include "cpu/statistic.h"
#include "cpu/synapses.h"
#include "cpu/window.h"
#include "cpu/winograd.h"

namespace weightsharing::cpu::WEIGHTSHARING_ISA {

extern const Kernels<float> kernels_float = {
    window<float>,      lowrank<float>,   bank<float>, winograd<float>,         gather_prepare<float>,
    gather<float>,      pool<float>,      flat<float>, synapses_prepare<float>, synapses<float>,
    run_program<float>, statistic<float>, lanes<float>};

extern const Kernels<double> kernels_double = {
    window<double>,      lowrank<double>,   bank<double>, winograd<double>,         gather_prepare<double>,
    gather<double>,      pool<double>,      flat<double>, synapses_prepare<double>, synapses<double>,
    run_program<double>, statistic<double>, lanes<double>};

}  // namespace weightsharing::cpu::WEIGHTSHARING_ISA
