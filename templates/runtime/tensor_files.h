// Reads input tensors from files and writes output tensors to files.
// Part of main.cc: with internal linkage, and without calls across files, the program is smallest.

#ifndef LITESMITH_TENSOR_FILES_H_
#define LITESMITH_TENSOR_FILES_H_

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "exit_codes.h"
#include "model_runner.h"
#include "options.h"

namespace litesmith {
namespace {

size_t Elements(const TfLiteTensor& tensor) {
  size_t count = 1;
  for (int d = 0; tensor.dims != nullptr && d < tensor.dims->size; ++d) count *= tensor.dims->data[d];
  return count;
}

// Whether a string tensor is consistent: int32 count, count + 1 offsets, the bytes
// (tensorflow/lite/string_util.h).
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

// Reads an input, of index `position` in the entry, from a file of raw little-endian values.
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

// Fills inputs from options.inputs, the others with zeros or empty strings.  Returns kOk or an exit code.
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

// Writes out0.bin, out1.bin ... into options.output_dir.  Returns kOk or an exit code.
int WriteOutputs(const Options& options, const Entry& entry) {
  for (size_t i = 0; i < entry.graph->outputs().size(); ++i) {
    const TfLiteTensor* tensor = entry.Output(i);
    if (tensor->bytes > 0 && tensor->data.raw == nullptr) {
      fprintf(stderr, "error: output %zu has no data; the model may be damaged\n", i);
      return kRunFailed;
    }
    char name[32];
    snprintf(name, sizeof(name), "/out%zu.bin", i);
    const std::string path = std::string(options.output_dir) + name;
    FILE* file = fopen(path.c_str(), "wb");
    bool written = file != nullptr;
    if (written) {
      written = tensor->bytes == 0 || fwrite(tensor->data.raw, 1, tensor->bytes, file) == tensor->bytes;
      written = fclose(file) == 0 && written;
    }
    if (!written) {
      fprintf(stderr, "error: %s: %s\n", path.c_str(), strerror(errno));
      return kBadInput;
    }
  }
  return kOk;
}

}  // namespace
}  // namespace litesmith

#endif  // LITESMITH_TENSOR_FILES_H_
