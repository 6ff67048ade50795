// Runs a TensorFlow Lite model on raw tensors.  Usage() has the options; exit codes:
// 0 ok, 2 bad arguments or files, 3 the model does not fit this program, 4 the run failed.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "flatbuffer_check.h"
#include "model_check.h"
#include "selected_ops.h"
#include "tensorflow/lite/allocation.h"
#include "tensorflow/lite/core/interpreter_builder.h"
#include "tensorflow/lite/core/model_builder.h"
#include "tensorflow/lite/mutable_op_resolver.h"
#include "tensorflow/lite/stderr_reporter.h"
#ifdef LITESMITH_PROFILE
#include "op_profiler.h"
#endif
#ifdef LITESMITH_XNNPACK
#include "delegation.h"
#endif

void RegisterSelectedOps(::tflite::MutableOpResolver* resolver);

namespace litesmith {
namespace {

constexpr int kOk = 0;
constexpr int kBadInput = 2;
constexpr int kUnfit = 3;
constexpr int kRunFailed = 4;

struct InputShape {
  std::string name;
  std::vector<int> dims;
};

struct Options {
  const char* model = nullptr;
  const char* output_dir = nullptr;
  const char* signature = nullptr;
  std::vector<const char*> inputs;
  std::vector<InputShape> shapes;
  int runs = 1;
  int threads = 1;
  bool json = false;
#ifdef LITESMITH_PROFILE
  int warm_up = 1;
#endif
};

int64_t Microseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

void Usage(FILE* to, const char* program) {
  fprintf(to,
          "usage: %s --model FILE [options]\n"
          "  --model FILE       the .tflite file%s\n"
          "  --input FILE       raw little-endian tensor, once for each input in the model's order;\n"
          "                     zeros where none is given\n"
          "  --input-shape NAME=1x224x224x3\n"
          "                     shape of an input, by its own name or its name in the signature\n"
          "  --signature KEY    run this signature (default: the model's first subgraph)\n"
          "  --output-dir DIR   write out0.bin, out1.bin ... there\n"
          "  --runs N           repeat the inference N times (default 1)\n"
#ifdef LITESMITH_PROFILE
          "  --warm-up N        run it N times before (default 1)\n"
#endif
          "  --threads N        threads for the kernels (default 1)\n"
          "  --json             print one JSON object\n",
          program, kEmbeddedModelSize > 0 ? " (default: the one inside of this program)" : "");
}

bool ParseCount(const char* text, int most, int* value) {
  char* end = nullptr;
  errno = 0;
  const long number = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || number < 1 || number > most) return false;
  *value = static_cast<int>(number);
  return true;
}

bool ParseShape(const char* text, InputShape* shape) {
  // Names of tensors may hold anything, the dimensions come after the last sign.
  const char* sign = strrchr(text, '=');
  if (sign == nullptr || sign == text) return false;
  shape->name.assign(text, sign - text);
  for (const char* at = sign + 1; *at != '\0';) {
    char* end = nullptr;
    errno = 0;
    const long dim = strtol(at, &end, 10);
    if (errno != 0 || end == at || dim < 0 || dim > INT32_MAX || (*end != 'x' && *end != '\0')) return false;
    shape->dims.push_back(static_cast<int>(dim));
    if (*end == 'x' && end[1] == '\0') return false;
    at = *end == 'x' ? end + 1 : end;
  }
  return true;
}

// Returns kOk to go on, -1 to stop without an error, or an exit code.
int ParseArguments(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--help" || name == "-h") {
      Usage(stdout, argv[0]);
      return -1;
    }
    if (name == "--json") {
      options->json = true;
      continue;
    }
#ifdef LITESMITH_PROFILE
    if (name == "--warm-up" && i + 1 < argc) {
      if (ParseCount(argv[++i], 1000000, &options->warm_up)) continue;
      fprintf(stderr, "error: --warm-up %s is not a number from 1 to 1000000\n", argv[i]);
      return kBadInput;
    }
#endif
    const bool known = name == "--model" || name == "--input" || name == "--input-shape" || name == "--signature" ||
                       name == "--output-dir" || name == "--runs" || name == "--threads";
    if (!known) {
      fprintf(stderr, "error: unknown option %s; --help lists the options\n", argv[i]);
      return kBadInput;
    }
    if (++i == argc) {
      fprintf(stderr, "error: %s needs a value\n", name.c_str());
      return kBadInput;
    }
    if (name == "--model") options->model = argv[i];
    if (name == "--input") options->inputs.push_back(argv[i]);
    if (name == "--signature") options->signature = argv[i];
    if (name == "--input-shape") {
      options->shapes.emplace_back();
      if (!ParseShape(argv[i], &options->shapes.back())) {
        fprintf(stderr, "error: --input-shape %s is not of the form NAME=1x224x224x3\n", argv[i]);
        return kBadInput;
      }
    }
    if (name == "--output-dir") options->output_dir = argv[i];
    if (name == "--runs" && !ParseCount(argv[i], 1000000, &options->runs)) {
      fprintf(stderr, "error: --runs %s is not a number from 1 to 1000000\n", argv[i]);
      return kBadInput;
    }
    if (name == "--threads" && !ParseCount(argv[i], 256, &options->threads)) {
      fprintf(stderr, "error: --threads %s is not a number from 1 to 256\n", argv[i]);
      return kBadInput;
    }
  }
  if (options->model == nullptr && kEmbeddedModelSize == 0) {
    fprintf(stderr, "error: --model is missing\n");
    return kBadInput;
  }
  return kOk;
}

// A profile may leave the checks out, for models that nobody can exchange or damage.
#ifdef LITESMITH_NO_MODEL_CHECK
Fit CheckModel(const tflite::Model&) { return Fit::kFits; }
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

// The part of the model that runs: its first subgraph, or that of a signature.
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

// Tensor index of the input of that name, -1 when there is none.
int FindInput(const Entry& entry, const std::string& name) {
  if (entry.signature != nullptr) {
    const auto& named = entry.interpreter->signature_inputs(entry.signature);
    const auto found = named.find(name);
    if (found != named.end()) return static_cast<int>(found->second);
  }
  for (const int index : entry.graph->inputs()) {
    const char* own = entry.graph->tensor(index)->name;
    if (own != nullptr && name == own) return index;
  }
  return -1;
}

int SetShapes(const Options& options, const Entry& entry) {
  for (const InputShape& shape : options.shapes) {
    const int index = FindInput(entry, shape.name);
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

size_t Elements(const TfLiteTensor& tensor) {
  size_t count = 1;
  for (int d = 0; tensor.dims != nullptr && d < tensor.dims->size; ++d) count *= tensor.dims->data[d];
  return count;
}

// A string tensor: int32 count, count + 1 offsets, the bytes (tensorflow/lite/string_util.h).
bool StringsAreSound(const TfLiteTensor& tensor) {
  const size_t count = Elements(tensor);
  if (tensor.bytes < (count + 2) * sizeof(int32_t)) return false;
  const auto* head = reinterpret_cast<const int32_t*>(tensor.data.raw);
  if (head[0] < 0 || static_cast<size_t>(head[0]) != count) return false;
  int64_t before = static_cast<int64_t>((count + 2) * sizeof(int32_t));
  for (size_t i = 1; i <= count + 1; ++i) {
    if (head[i] < before) return false;
    before = head[i];
  }
  return before <= static_cast<int64_t>(tensor.bytes);
}

void SetEmptyStrings(TfLiteTensor* tensor) {
  const size_t words = Elements(*tensor) + 2;
  TfLiteTensorRealloc(words * sizeof(int32_t), tensor);
  auto* head = reinterpret_cast<int32_t*>(tensor->data.raw);
  head[0] = static_cast<int32_t>(words - 2);
  for (size_t i = 1; i < words; ++i) head[i] = static_cast<int32_t>(words * sizeof(int32_t));
}

bool ReadInput(const char* path, const Entry& entry, size_t position) {
  TfLiteTensor* tensor = entry.Input(position);
  const char* name = tensor->name != nullptr ? tensor->name : "";
  FILE* file = fopen(path, "rb");
  if (file == nullptr) {
    fprintf(stderr, "error: %s: %s\n", path, strerror(errno));
    return false;
  }
  fseek(file, 0, SEEK_END);
  const long size = ftell(file);
  rewind(file);
  if (tensor->type == kTfLiteString && size > 0) TfLiteTensorRealloc(size, tensor);
  if (size < 0 || static_cast<size_t>(size) != tensor->bytes) {
    fprintf(stderr, "error: %s has %ld bytes, input %zu (%s) has %zu\n", path, size, position, name, tensor->bytes);
    fclose(file);
    return false;
  }
  const bool complete = fread(tensor->data.raw, 1, tensor->bytes, file) == tensor->bytes;
  fclose(file);
  if (!complete) {
    fprintf(stderr, "error: %s cannot be read\n", path);
    return false;
  }
  if (tensor->type == kTfLiteString && !StringsAreSound(*tensor)) {
    fprintf(stderr, "error: %s is no string tensor of %zu elements, as input %zu (%s) needs it: count, offsets, bytes\n",
            path, Elements(*tensor), position, name);
    return false;
  }
  return true;
}

int SetInputs(const Options& options, const Entry& entry) {
  const size_t count = entry.graph->inputs().size();
  if (options.inputs.size() > count) {
    fprintf(stderr, "error: %zu inputs given, the model has %zu\n", options.inputs.size(), count);
    return kBadInput;
  }
  for (size_t i = 0; i < count; ++i) {
    TfLiteTensor* tensor = entry.Input(i);
    if (tensor->allocation_type == kTfLiteMmapRo) {
      fprintf(stderr, "error: input %zu (%s) has constant data in the model\n", i, tensor->name);
      return kBadInput;
    }
    if (i < options.inputs.size()) {
      if (!ReadInput(options.inputs[i], entry, i)) return kBadInput;
    } else if (tensor->type == kTfLiteString) {
      SetEmptyStrings(tensor);
    } else if (tensor->data.raw != nullptr) {
      memset(tensor->data.raw, 0, tensor->bytes);
    }
  }
  return kOk;
}

int WriteOutputs(const Options& options, const Entry& entry) {
  for (size_t i = 0; i < entry.graph->outputs().size(); ++i) {
    const TfLiteTensor* tensor = entry.Output(i);
    char name[32];
    snprintf(name, sizeof(name), "/out%zu.bin", i);
    const std::string path = std::string(options.output_dir) + name;
    FILE* file = fopen(path.c_str(), "wb");
    bool written = file != nullptr;
    if (written) {
      written = fwrite(tensor->data.raw, 1, tensor->bytes, file) == tensor->bytes;
      written = fclose(file) == 0 && written;
    }
    if (!written) {
      fprintf(stderr, "error: %s: %s\n", path.c_str(), strerror(errno));
      return kBadInput;
    }
  }
  return kOk;
}

// Well-formed UTF-8 sequence length at `text`, 0 when the bytes are something else.
size_t Utf8Length(const unsigned char* text) {
  const size_t length = *text < 0x80 ? 1 : *text >= 0xc2 && *text < 0xe0 ? 2 : *text >= 0xe0 && *text < 0xf0 ? 3 : *text >= 0xf0 && *text < 0xf5 ? 4 : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((text[i] & 0xc0) != 0x80) return 0;
  }
  return length;
}

void PrintJsonString(const char* text) {
  putchar('"');
  for (const auto* c = reinterpret_cast<const unsigned char*>(text); *c != '\0';) {
    const size_t length = Utf8Length(c);
    if (length == 0) {
      fputs("\\ufffd", stdout);
      ++c;
    } else if (*c == '"' || *c == '\\') {
      printf("\\%c", *c++);
    } else if (*c < 0x20) {
      printf("\\u%04x", *c++);
    } else {
      fwrite(c, 1, length, stdout);
      c += length;
    }
  }
  putchar('"');
}

void PrintShape(const TfLiteTensor& tensor, const char* separator) {
  for (int d = 0; tensor.dims != nullptr && d < tensor.dims->size; ++d) {
    printf("%s%d", d > 0 ? separator : "", tensor.dims->data[d]);
  }
}

// TfLiteTypeGetName speaks of FLOAT32; the rest of litesmith says float32.
void PrintDtype(const TfLiteTensor& tensor) {
  for (const char* c = TfLiteTypeGetName(tensor.type); *c != '\0'; ++c) putchar(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
}

const char* Name(const TfLiteTensor& tensor) { return tensor.name != nullptr ? tensor.name : ""; }

void PrintJsonTensors(const char* key, const Entry& entry, const std::vector<int>& indices) {
  printf("\"%s\": [", key);
  for (size_t i = 0; i < indices.size(); ++i) {
    const TfLiteTensor& tensor = *entry.graph->tensor(indices[i]);
    printf("%s{\"name\": ", i > 0 ? ", " : "");
    PrintJsonString(Name(tensor));
    fputs(", \"dtype\": \"", stdout);
    PrintDtype(tensor);
    fputs("\", \"shape\": [", stdout);
    PrintShape(tensor, ", ");
    printf("], \"bytes\": %zu}", tensor.bytes);
  }
  fputs("], ", stdout);
}

struct Measured {
  std::vector<int64_t> latencies;  // microseconds, sorted
  int64_t first_inference = 0;     // microseconds from the start of the program
#ifdef LITESMITH_PROFILE
  Profile profile;  // of as many more inferences
#endif
#ifdef LITESMITH_XNNPACK
  const Delegation* delegation = nullptr;
#endif
};

int CompareLatencies(const void* left, const void* right) {
  const int64_t a = *static_cast<const int64_t*>(left), b = *static_cast<const int64_t*>(right);
  return (a > b) - (a < b);
}

size_t ArenaBytes(tflite::Interpreter* interpreter) {
  size_t bytes = 0;
  for (size_t i = 0; i < interpreter->subgraphs_size(); ++i) {
    tflite::Subgraph::SubgraphAllocInfo info;
    interpreter->subgraph(static_cast<int>(i))->GetMemoryAllocInfo(&info);
    bytes += info.arena_size + info.arena_persist_size;
  }
  return bytes;
}

// Of this program alone, where there is /proc: getrusage counts what started it, too, an SSH server for example.
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

void PrintMilliseconds(const char* label, int64_t microseconds) {
  printf("%s%lld.%03lld", label, static_cast<long long>(microseconds / 1000), static_cast<long long>(microseconds % 1000));
}

int64_t Median(const std::vector<int64_t>& sorted) {
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

#ifdef LITESMITH_PROFILE
// Members of the JSON object that only programs have that are built to be measured.
void PrintProfile(const Measured& measured) {
  const char* separator = "";
  fputs("\"latencies_us\": [", stdout);
  for (const int64_t latency : measured.latencies) {
    printf("%s%lld", separator, static_cast<long long>(latency));
    separator = ", ";
  }
  separator = "";
  fputs("], \"nodes\": [", stdout);
  for (const auto& [place, node] : measured.profile) {
    printf("%s{\"subgraph\": %lld, \"node\": %lld, \"op\": ", separator, static_cast<long long>(place.first),
           static_cast<long long>(place.second));
    PrintJsonString(node.op);
    printf(", \"calls\": %lld, \"ns\": %lld}", static_cast<long long>(node.calls),
           static_cast<long long>(node.nanoseconds));
    separator = ", ";
  }
  fputs("], ", stdout);
}
#endif

void PrintJson(const Options& options, const Entry& entry, const Measured& measured) {
  putchar('{');
#ifdef LITESMITH_PROFILE
  PrintProfile(measured);
#endif
#ifdef LITESMITH_XNNPACK
  measured.delegation->PrintJson();
#endif
  PrintJsonTensors("inputs", entry, entry.graph->inputs());
  PrintJsonTensors("outputs", entry, entry.graph->outputs());
  printf("\"arena_bytes\": %zu, \"peak_rss_bytes\": %lld, \"runs\": %d, \"threads\": %d, ",
         ArenaBytes(entry.interpreter), PeakResidentBytes(), options.runs, options.threads);
  PrintMilliseconds("\"latency_ms\": {\"min\": ", measured.latencies.front());
  PrintMilliseconds(", \"median\": ", Median(measured.latencies));
  PrintMilliseconds(", \"max\": ", measured.latencies.back());
  PrintMilliseconds("}, \"time_to_first_inference_ms\": ", measured.first_inference);
  fputs("}\n", stdout);
}

void PrintText(const Options& options, const Entry& entry, const Measured& measured) {
  for (size_t i = 0; i < entry.graph->outputs().size(); ++i) {
    const TfLiteTensor& tensor = *entry.Output(i);
    printf("out%zu: %s ", i, Name(tensor));
    PrintDtype(tensor);
    putchar('[');
    PrintShape(tensor, "x");
    fputs("]\n", stdout);
  }
  PrintMilliseconds("latency ms: min ", measured.latencies.front());
  PrintMilliseconds(", median ", Median(measured.latencies));
  PrintMilliseconds(", max ", measured.latencies.back());
  printf(" over %d run%s\n", options.runs, options.runs > 1 ? "s" : "");
  printf("arena %zu bytes, peak RSS %lld bytes", ArenaBytes(entry.interpreter), PeakResidentBytes());
  PrintMilliseconds(", first inference after ", measured.first_inference);
  fputs(" ms\n", stdout);
#ifdef LITESMITH_XNNPACK
  measured.delegation->PrintText();
#endif
}

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
  switch (CheckModel(*model->GetModel())) {
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
  // All of them: subgraphs may call each other.
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
  // Reading the clock for each node takes time: latencies come from the inferences before.
  interpreter->AddProfiler(std::make_unique<OpProfiler>(&measured.profile));
  if (!InvokeOften(entry, options.runs)) return kRunFailed;
#endif
  // std::sort would bring more code than everything else here that deals with times.
  qsort(measured.latencies.data(), measured.latencies.size(), sizeof(int64_t), CompareLatencies);

  if (options.output_dir != nullptr) {
    const int written = WriteOutputs(options, entry);
    if (written != kOk) return written;
  }
  if (options.json) {
    PrintJson(options, entry, measured);
  } else {
    PrintText(options, entry, measured);
  }
  // An earlier write may have failed: musl drops its buffer then, and fflush is content.
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "error: standard output: %s\n", strerror(errno));
    return kBadInput;
  }
  return kOk;
}

}  // namespace
}  // namespace litesmith

int main(int argc, char** argv) {
  // Kernels end the program when a value, such as a scale of a damaged model, makes no sense.
  signal(SIGABRT, [](int) {
    constexpr char kMessage[] = "error: a kernel stopped on a value that makes no sense; the model may be damaged\n";
    (void)!write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
    _exit(litesmith::kRunFailed);
  });
  return litesmith::Run(argc, argv);
}
