// Counts and times the runs of each node of a model, in programs built for profiling.

#ifndef LITESMITH_OP_PROFILER_H_
#define LITESMITH_OP_PROFILER_H_

#include <cstdint>
#include <ctime>
#include <map>
#include <utility>
#include <vector>

#include "tensorflow/lite/core/api/profiler.h"

namespace litesmith {

struct NodeProfile {
  const char* op = "";
  int64_t calls = 0;
  int64_t nanoseconds = 0;  // without nodes of the subgraphs that it calls
};

// Nodes by subgraph and index.
using Profile = std::map<std::pair<int64_t, int64_t>, NodeProfile>;

class OpProfiler : public tflite::Profiler {
 public:
  explicit OpProfiler(Profile* profile) : profile_(profile) {}

  uint32_t BeginEvent(const char* tag, EventType type, int64_t node, int64_t subgraph) override {
    if (type != EventType::OPERATOR_INVOKE_EVENT) return kIgnored;
    NodeProfile* found = &(*profile_)[{subgraph, node}];
    found->op = tag;
    running_.push_back({found, 0, Nanoseconds()});
    return static_cast<uint32_t>(running_.size());
  }

  void EndEvent(uint32_t handle) override {
    // WHILE and IF run other nodes before they end: events are nested, the last to begin ends first.
    if (handle == kIgnored || handle != running_.size()) return;
    const Running ended = running_.back();
    running_.pop_back();
    const int64_t elapsed = Nanoseconds() - ended.start;
    ++ended.node->calls;
    ended.node->nanoseconds += elapsed - ended.inside;
    if (!running_.empty()) running_.back().inside += elapsed;
  }

 private:
  static constexpr uint32_t kIgnored = 0;

  struct Running {
    NodeProfile* node;
    int64_t inside;  // nanoseconds of the nodes that this one runs
    int64_t start;
  };

  static int64_t Nanoseconds() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
  }

  Profile* profile_;
  std::vector<Running> running_;
};

}  // namespace litesmith

#endif  // LITESMITH_OP_PROFILER_H_
