#include "plan/levels.h"

#include <algorithm>
#include <map>

namespace weightsharing::plan {

std::vector<int> levels_of(const std::vector<Work>& list) {
  // First level that may read an array, and first that may write it.
  struct Open {
    int read = 0, write = 0;
  };
  std::map<const void*, Open> open;
  std::vector<int> levels;
  for (const Work& work : list) {
    int level = 0;
    for (const void* array : work.reads) level = std::max(level, open[array].read);
    for (const void* array : work.writes) level = std::max(level, open[array].write);
    for (const void* array : work.reads) open[array].write = std::max(open[array].write, level + 1);
    for (const void* array : work.writes) open[array] = {level + 1, level + 1};
    levels.push_back(level);
  }
  return levels;
}

}  // namespace weightsharing::plan
