// Latency and memory of a run.
// Part of main.cc: with internal linkage, and without calls across files, the program is smallest.

#ifndef LITESMITH_MEASUREMENT_H_
#define LITESMITH_MEASUREMENT_H_

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "tensorflow/lite/core/interpreter.h"
#ifdef LITESMITH_PROFILE
#include "op_profiler.h"
#endif
#ifdef LITESMITH_XNNPACK
#include "delegation.h"
#endif

namespace litesmith {
namespace {

int64_t Microseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

struct Measured {
  std::vector<int64_t> latencies;  // microseconds, sorted
  int64_t first_inference = 0;     // microseconds from the start of the program
#ifdef LITESMITH_PROFILE
  Profile profile;  // of as many further inferences
#endif
#ifdef LITESMITH_XNNPACK
  const Delegation* delegation = nullptr;
#endif
};

// Shell's sort: std::sort and zig's qsort would add more code than all the rest that deals with times.
void SortLatencies(std::vector<int64_t>* latencies) {
  int64_t* const all = latencies->data();
  const size_t count = latencies->size();
  for (size_t gap = count / 2; gap != 0; gap /= 2) {
    for (size_t i = gap; i < count; ++i) {
      const int64_t one = all[i];
      size_t place = i;
      for (; place >= gap && all[place - gap] > one; place -= gap) all[place] = all[place - gap];
      all[place] = one;
    }
  }
}

// Sum over all subgraphs.
size_t ArenaBytes(tflite::Interpreter* interpreter) {
  size_t bytes = 0;
  for (size_t i = 0; i < interpreter->subgraphs_size(); ++i) {
    tflite::Subgraph::SubgraphAllocInfo info;
    interpreter->subgraph(static_cast<int>(i))->GetMemoryAllocInfo(&info);
    bytes += info.arena_size + info.arena_persist_size;
  }
  return bytes;
}

// Of this program alone where /proc exists: getrusage includes the program that started it, an SSH server for
// example.
long long PeakResidentBytes() {
  static const char kLine[] = "\nVmHWM:";
  constexpr ssize_t kLength = sizeof kLine - 1;
  char status[4096] = {};
  const int file = open("/proc/self/status", O_RDONLY);
  const ssize_t size = file < 0 ? 0 : read(file, status, sizeof status - 1);
  if (file >= 0) close(file);
  for (ssize_t at = 0; at + kLength < size; ++at) {
    if (memcmp(status + at, kLine, kLength) == 0) return strtol(status + at + kLength, nullptr, 10) * 1024LL;
  }
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<long long>(usage.ru_maxrss) * 1024;
}

}  // namespace
}  // namespace litesmith

#endif  // LITESMITH_MEASUREMENT_H_
