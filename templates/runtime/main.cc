// Runs a TensorFlow Lite model on raw tensors.  Usage() has the options; exit codes:
// 0 ok, 2 bad arguments or files, 3 the model does not fit this program, 4 the run failed.

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "model_check.h"
#include "selected_ops.h"
#include "tensorflow/lite/core/interpreter_builder.h"
#include "tensorflow/lite/core/model_builder.h"
#include "tensorflow/lite/mutable_op_resolver.h"

void RegisterSelectedOps(::tflite::MutableOpResolver* resolver);

namespace litesmith {
namespace {

constexpr int kOk = 0;
constexpr int kBadInput = 2;
constexpr int kUnfit = 3;
constexpr int kRunFailed = 4;

struct Options {
  const char* model = nullptr;
  const char* output_dir = nullptr;
  std::vector<const char*> inputs;
  int runs = 1;
  int threads = 1;
  bool json = false;
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
          "  --output-dir DIR   write out0.bin, out1.bin ... there\n"
          "  --runs N           repeat the inference N times (default 1)\n"
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
    const bool known = name == "--model" || name == "--input" || name == "--output-dir" || name == "--runs" || name == "--threads";
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

std::unique_ptr<tflite::FlatBufferModel> LoadModel(const Options& options) {
  if (options.model == nullptr) {
    return tflite::FlatBufferModel::VerifyAndBuildFromBuffer(
        reinterpret_cast<const char*>(kEmbeddedModel), kEmbeddedModelSize);
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
  auto model = tflite::FlatBufferModel::VerifyAndBuildFromFile(options.model);
  if (model == nullptr) fprintf(stderr, "error: %s is damaged or no .tflite file; copy or convert it again\n", options.model);
  return model;
}

bool ReadInput(const char* path, tflite::Interpreter* interpreter, int position) {
  TfLiteTensor* tensor = interpreter->input_tensor(position);
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
    fprintf(stderr, "error: %s has %ld bytes, input %d (%s) has %zu\n", path, size, position, tensor->name, tensor->bytes);
    fclose(file);
    return false;
  }
  const bool complete = fread(tensor->data.raw, 1, tensor->bytes, file) == tensor->bytes;
  fclose(file);
  if (!complete) fprintf(stderr, "error: %s cannot be read\n", path);
  return complete;
}

int SetInputs(const Options& options, tflite::Interpreter* interpreter) {
  const size_t count = interpreter->inputs().size();
  if (options.inputs.size() > count) {
    fprintf(stderr, "error: %zu inputs given, the model has %zu\n", options.inputs.size(), count);
    return kBadInput;
  }
  for (size_t i = 0; i < count; ++i) {
    TfLiteTensor* tensor = interpreter->input_tensor(i);
    if (tensor->allocation_type == kTfLiteMmapRo) {
      fprintf(stderr, "error: input %zu (%s) has constant data in the model\n", i, tensor->name);
      return kBadInput;
    }
    if (i < options.inputs.size()) {
      if (!ReadInput(options.inputs[i], interpreter, static_cast<int>(i))) return kBadInput;
    } else if (tensor->data.raw != nullptr) {
      memset(tensor->data.raw, 0, tensor->bytes);
    }
  }
  return kOk;
}

int WriteOutputs(const Options& options, const tflite::Interpreter& interpreter) {
  for (size_t i = 0; i < interpreter.outputs().size(); ++i) {
    const TfLiteTensor* tensor = interpreter.output_tensor(i);
    const std::string path = std::string(options.output_dir) + "/out" + std::to_string(i) + ".bin";
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

void PrintJsonTensors(const char* key, const tflite::Interpreter& interpreter, const std::vector<int>& indices) {
  printf("\"%s\": [", key);
  for (size_t i = 0; i < indices.size(); ++i) {
    const TfLiteTensor& tensor = *interpreter.tensor(indices[i]);
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
};

size_t ArenaBytes(tflite::Interpreter* interpreter) {
  size_t bytes = 0;
  for (size_t i = 0; i < interpreter->subgraphs_size(); ++i) {
    tflite::Subgraph::SubgraphAllocInfo info;
    interpreter->subgraph(static_cast<int>(i))->GetMemoryAllocInfo(&info);
    bytes += info.arena_size + info.arena_persist_size;
  }
  return bytes;
}

long long PeakResidentBytes() {
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

void PrintJson(const Options& options, tflite::Interpreter* interpreter, const Measured& measured) {
  putchar('{');
  PrintJsonTensors("inputs", *interpreter, interpreter->inputs());
  PrintJsonTensors("outputs", *interpreter, interpreter->outputs());
  printf("\"arena_bytes\": %zu, \"peak_rss_bytes\": %lld, \"runs\": %d, \"threads\": %d, ",
         ArenaBytes(interpreter), PeakResidentBytes(), options.runs, options.threads);
  PrintMilliseconds("\"latency_ms\": {\"min\": ", measured.latencies.front());
  PrintMilliseconds(", \"median\": ", Median(measured.latencies));
  PrintMilliseconds(", \"max\": ", measured.latencies.back());
  PrintMilliseconds("}, \"time_to_first_inference_ms\": ", measured.first_inference);
  fputs("}\n", stdout);
}

void PrintText(const Options& options, tflite::Interpreter* interpreter, const Measured& measured) {
  for (size_t i = 0; i < interpreter->outputs().size(); ++i) {
    const TfLiteTensor& tensor = *interpreter->output_tensor(i);
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
  printf("arena %zu bytes, peak RSS %lld bytes", ArenaBytes(interpreter), PeakResidentBytes());
  PrintMilliseconds(", first inference after ", measured.first_inference);
  fputs(" ms\n", stdout);
}

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
  std::unique_ptr<tflite::Interpreter> interpreter;
  if (builder(&interpreter) != kTfLiteOk || interpreter == nullptr) {
    fprintf(stderr, "error: the model cannot be loaded; the lines above say why\n");
    return kBadInput;
  }
  if (interpreter->AllocateTensors() != kTfLiteOk) {
    fprintf(stderr, "error: the tensors cannot be allocated; the lines above say why\n");
    return kRunFailed;
  }

  const int set = SetInputs(options, interpreter.get());
  if (set != kOk) return set;

  Measured measured;
  measured.latencies.reserve(options.runs);
  for (int run = 0; run < options.runs; ++run) {
    const int64_t before = Microseconds();
    if (interpreter->Invoke() != kTfLiteOk) {
      fprintf(stderr, "error: the inference failed; the lines above say why\n");
      return kRunFailed;
    }
    const int64_t after = Microseconds();
    measured.latencies.push_back(after - before);
    if (run == 0) measured.first_inference = after - start;
  }
  std::sort(measured.latencies.begin(), measured.latencies.end());

  if (options.output_dir != nullptr) {
    const int written = WriteOutputs(options, *interpreter);
    if (written != kOk) return written;
  }
  if (options.json) {
    PrintJson(options, interpreter.get(), measured);
  } else {
    PrintText(options, interpreter.get(), measured);
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

int main(int argc, char** argv) { return litesmith::Run(argc, argv); }
