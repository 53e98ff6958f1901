# Write a C++ file that holds the headers of the kernels as text, for compilation at run time: in the modules
# themselves, so that the two cannot be of different versions.
#
#   cmake -D OUTPUT=kernel_sources.cpp -D FOLDER=csrc -D "HEADERS=cuda/a.cuh;cuda/b.h" -P embed_kernels.cmake
cmake_minimum_required(VERSION 3.24)

set(text [[
#include "cuda/compiler.h"

namespace weightsharing::cuda {

const std::map<std::string, std::string>& kernel_sources() {
  static const std::map<std::string, std::string> sources = {
]])
foreach(header IN LISTS HEADERS)
  file(READ ${FOLDER}/${header} content)
  string(APPEND text "      {\"${header}\", R\"source(${content})source\"},\n")
endforeach()
string(APPEND text [[
  };
  return sources;
}

}  // namespace weightsharing::cuda
]])
file(WRITE ${OUTPUT} "${text}")
