// Loads a model, finds the subgraph to run and resizes its inputs: what does not depend on how a run
// was asked for or where its tensors come from.
// Part of main.cc: with internal linkage, and without calls across files, the program is smallest.

#ifndef LITESMITH_MODEL_RUNNER_H_
#define LITESMITH_MODEL_RUNNER_H_

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "exit_codes.h"
#include "flatbuffer_check.h"
#include "model_check.h"
#include "options.h"
#include "selected_ops.h"
#include "tensorflow/lite/allocation.h"
#include "tensorflow/lite/core/interpreter.h"
#include "tensorflow/lite/core/model_builder.h"
#include "tensorflow/lite/stderr_reporter.h"

namespace litesmith {
namespace {

// A profile may turn the checks off, for models that cannot be replaced or damaged.
#ifdef LITESMITH_NO_MODEL_CHECK
Fit CheckModel(const tflite::Model&, const ModelFile&) { return Fit::kFits; }
#endif

std::unique_ptr<tflite::FlatBufferModel> BuildModel(std::unique_ptr<tflite::Allocation> allocation) {
#if defined(LITESMITH_NO_MODEL_CHECK)
  return tflite::FlatBufferModel::BuildFromAllocation(std::move(allocation));
#elif defined(LITESMITH_PRUNED) && !defined(LITESMITH_KEEP_VERIFIER)
  if (!allocation->valid() || !FlatbufferIsSound(allocation->base(), allocation->bytes())) return nullptr;
  return tflite::FlatBufferModel::BuildFromAllocation(std::move(allocation));
#else
  return tflite::FlatBufferModel::VerifyAndBuildFromAllocation(std::move(allocation));
#endif
}

// The model in options.model, else the embedded one.  Prints an error and returns null if it cannot be used.
std::unique_ptr<tflite::FlatBufferModel> LoadModel(const Options& options) {
  tflite::ErrorReporter* const reporter = tflite::DefaultErrorReporter();
  if (options.model == nullptr) {
    return BuildModel(std::make_unique<tflite::MemoryAllocation>(kEmbeddedModel, kEmbeddedModelSize, reporter));
  }
  struct stat status;
  if (stat(options.model, &status) != 0) {
    fprintf(stderr, "error: %s: %s\n", options.model, strerror(errno));
    return nullptr;
  }
  if (!S_ISREG(status.st_mode) || status.st_size == 0) {
    fprintf(stderr, "error: %s is %s\n", options.model, S_ISREG(status.st_mode) ? "empty" : "not a file");
    return nullptr;
  }
  auto model = BuildModel(std::make_unique<tflite::MMAPAllocation>(options.model, reporter));
  if (model == nullptr) fprintf(stderr, "error: %s is damaged or no .tflite file; copy or convert it again\n", options.model);
  return model;
}

// The subgraph that runs: the first one, or that of a signature.
struct Entry {
  tflite::Interpreter* interpreter;
  tflite::Subgraph* graph;
  const char* signature;

  TfLiteTensor* Input(size_t i) const { return graph->tensor(graph->inputs()[i]); }
  TfLiteTensor* Output(size_t i) const { return graph->tensor(graph->outputs()[i]); }

  TfLiteStatus Invoke() const {
    if (graph == &interpreter->primary_subgraph()) return interpreter->Invoke();
    return graph->Invoke();
  }
};

// Finds the subgraph of options.signature.  Prints an error and returns false if there is none.
bool FindEntry(const Options& options, tflite::Interpreter* interpreter, Entry* entry) {
  *entry = {interpreter, &interpreter->primary_subgraph(), options.signature};
  if (options.signature == nullptr) return true;
  const int index = interpreter->GetSubgraphIndexFromSignature(options.signature);
  if (index >= 0) {
    entry->graph = interpreter->subgraph(index);
    return true;
  }
  fprintf(stderr, "error: the model has no signature %s; it has", options.signature);
  for (const std::string* key : interpreter->signature_keys()) fprintf(stderr, " %s", key->c_str());
  fprintf(stderr, interpreter->signature_keys().empty() ? " none\n" : "\n");
  return false;
}

constexpr int kNoSuchInput = -1;
constexpr int kSeveralInputs = -2;

// Tensor index of an input, by its name in the signature, its own, or its position; or one of the constants above.
int FindInput(const Entry& entry, const std::string& name) {
  if (entry.signature != nullptr) {
    const auto& named = entry.interpreter->signature_inputs(entry.signature);
    const auto found = named.find(name);
    if (found != named.end()) return static_cast<int>(found->second);
  }
  int named = kNoSuchInput;
  for (const int index : entry.graph->inputs()) {
    const char* own = entry.graph->tensor(index)->name;
    if (own == nullptr || name != own || named == index) continue;
    if (named != kNoSuchInput) return kSeveralInputs;
    named = index;
  }
  if (named != kNoSuchInput) return named;
  for (size_t i = 0; i < entry.graph->inputs().size(); ++i) {
    char position[24];
    snprintf(position, sizeof(position), "%zu", i);
    if (name == position) return entry.graph->inputs()[i];
  }
  return kNoSuchInput;
}

// Resizes the inputs of options.shapes.  Returns kOk or an exit code.
int SetShapes(const Options& options, const Entry& entry) {
  for (const InputShape& shape : options.shapes) {
    const int index = FindInput(entry, shape.name);
    if (index == kSeveralInputs) {
      fprintf(stderr, "error: --input-shape %s: several inputs have this name; use the position of one, from 0\n",
              shape.name.c_str());
      return kBadInput;
    }
    if (index < 0) {
      fprintf(stderr, "error: --input-shape %s: there is no such input; the inputs are", shape.name.c_str());
      for (size_t i = 0; i < entry.graph->inputs().size(); ++i) {
        fprintf(stderr, " %s", entry.Input(i)->name != nullptr ? entry.Input(i)->name : "(without a name)");
      }
      fputc('\n', stderr);
      return kBadInput;
    }
    if (entry.graph->ResizeInputTensor(index, shape.dims) != kTfLiteOk) {
      fprintf(stderr, "error: --input-shape %s: this input cannot be resized\n", shape.name.c_str());
      return kBadInput;
    }
  }
  return kOk;
}

}  // namespace
}  // namespace litesmith

#endif  // LITESMITH_MODEL_RUNNER_H_
