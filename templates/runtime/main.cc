// Runs a TensorFlow Lite model on raw tensors.  command_line.h has the options, exit_codes.h the exit codes.
//
// The headers are parts of this file: one translation unit without external functions makes the smallest program.

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "tensorflow/lite/core/interpreter_builder.h"
#include "tensorflow/lite/mutable_op_resolver.h"

#ifdef LITESMITH_PROFILE
#include "op_profiler.h"
#endif
#ifdef LITESMITH_XNNPACK
#include "delegation.h"
#endif

// gcc emits functions in the order of their definitions: another order moves code in the program.
#include "command_line.h"
#include "exit_codes.h"
#include "fault_handler.h"
#include "model_check.h"
#include "model_runner.h"
#include "node_check.h"
#include "options.h"
#include "tensor_files.h"
#include "measurement.h"
#include "report.h"

void RegisterSelectedOps(::tflite::MutableOpResolver* resolver);

namespace litesmith {
namespace {

#ifdef LITESMITH_PROFILE
bool InvokeOften(const Entry& entry, int times) {
  for (int i = 0; i < times; ++i) {
    if (entry.Invoke() == kTfLiteOk) continue;
    fprintf(stderr, "error: the inference failed; the lines above say why\n");
    return false;
  }
  return true;
}
#endif

int Run(int argc, char** argv) {
  const int64_t start = Microseconds();
  Options options;
  const int parsed = ParseArguments(argc, argv, &options);
  if (parsed != kOk) return parsed < 0 ? kOk : parsed;

  const std::unique_ptr<tflite::FlatBufferModel> model = LoadModel(options);
  if (model == nullptr) return kBadInput;
  const ModelFile file{static_cast<const uint8_t*>(model->allocation()->base()), model->allocation()->bytes()};
  switch (CheckModel(*model->GetModel(), file)) {
    case Fit::kDamaged: return kBadInput;
    case Fit::kUnfit: return kUnfit;
    case Fit::kFits: break;
  }

  tflite::MutableOpResolver resolver;
  RegisterSelectedOps(&resolver);
  tflite::InterpreterBuilder builder(*model, resolver);
  builder.SetNumThreads(options.threads);
#ifdef LITESMITH_XNNPACK
  Delegation delegation;
#endif
  std::unique_ptr<tflite::Interpreter> interpreter;
  if (builder(&interpreter) != kTfLiteOk || interpreter == nullptr) {
    fprintf(stderr, "error: the model cannot be loaded; the lines above say why\n");
    return kBadInput;
  }
  Entry entry;
  if (!FindEntry(options, interpreter.get(), &entry)) return kBadInput;
#ifdef LITESMITH_FIXED_SHAPES
  if (!options.shapes.empty()) {
    fprintf(stderr, "error: --input-shape: the kernels of this program are for the shapes in the model's file; "
                    "build with the same --input-shape, or with --kernels builtin\n");
    return kUnfit;
  }
#endif
  const int shaped = SetShapes(options, entry);
  if (shaped != kOk) return shaped;
#ifdef LITESMITH_XNNPACK
  if (!delegation.Apply(interpreter.get(), options.threads)) return kUnfit;
#endif
  // Both: the subgraph of a signature may call others.
  if (interpreter->AllocateTensors() != kTfLiteOk || entry.graph->AllocateTensors() != kTfLiteOk) {
    fprintf(stderr, "error: the tensors cannot be allocated; the lines above say why\n");
    return kRunFailed;
  }

  const int set = SetInputs(options, entry);
  if (set != kOk) return set;

  Measured measured;
#ifdef LITESMITH_XNNPACK
  measured.delegation = &delegation;
#endif
  measured.latencies.reserve(options.runs);
#ifdef LITESMITH_NODE_CHECK
  NodeCheck node_check;
  if (!node_check.Begin(options, entry)) return kBadInput;
#endif
#ifdef LITESMITH_PROFILE
  if (!InvokeOften(entry, options.warm_up)) return kRunFailed;
#endif
  for (int run = 0; run < options.runs; ++run) {
    const int64_t before = Microseconds();
    if (entry.Invoke() != kTfLiteOk) {
      fprintf(stderr, "error: the inference failed; the lines above say why\n");
      return kRunFailed;
    }
    const int64_t after = Microseconds();
    measured.latencies.push_back(after - before);
    if (run == 0) measured.first_inference = after - start;
  }
#ifdef LITESMITH_PROFILE
  // Reading the clock for each node takes time: the latencies are those of the inferences above.
  interpreter->AddProfiler(std::make_unique<OpProfiler>(&measured.profile));
  if (!InvokeOften(entry, options.runs)) return kRunFailed;
#endif
  SortLatencies(&measured.latencies);
#ifdef LITESMITH_NODE_CHECK
  if (!node_check.End(options)) return kBadInput;
#endif

  if (options.output_dir != nullptr) {
    const int written = WriteOutputs(options, entry);
    if (written != kOk) return written;
  }
  if (options.json) {
    PrintJson(options, entry, measured);
  } else {
    PrintText(options, entry, measured);
  }
  // An earlier write may have failed: musl then drops its buffer, and fflush reports success.
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "error: standard output: %s\n", strerror(errno));
    return kBadInput;
  }
  return kOk;
}

}  // namespace
}  // namespace litesmith

int main(int argc, char** argv) {
  litesmith::HandleFaults();
  return litesmith::Run(argc, argv);
}
