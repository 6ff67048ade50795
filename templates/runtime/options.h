// What a run is to do; the command line fills it in.

#ifndef LITESMITH_OPTIONS_H_
#define LITESMITH_OPTIONS_H_

#include <string>
#include <vector>

namespace litesmith {
namespace {

struct InputShape {
  std::string name;
  std::vector<int> dims;
};

struct Options {
  const char* model = nullptr;       // null: the embedded model
  const char* output_dir = nullptr;  // null: outputs are not written
  const char* signature = nullptr;   // null: the first subgraph
  std::vector<const char*> inputs;   // files, in the order of the model's inputs
  std::vector<InputShape> shapes;
  int runs = 1;
  int threads = 1;
  bool json = false;
#ifdef LITESMITH_PROFILE
  int warm_up = 1;
#endif
#ifdef LITESMITH_NODE_CHECK
  const char* node_inputs = nullptr;  // see node_check.h
  const char* node_outputs = nullptr;
#endif
};

}  // namespace
}  // namespace litesmith

#endif  // LITESMITH_OPTIONS_H_
