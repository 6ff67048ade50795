// Writes strings and descriptions of tensors as JSON to standard output.
// Part of main.cc: with internal linkage, and without calls across files, the program is smallest.

#ifndef LITESMITH_JSON_WRITER_H_
#define LITESMITH_JSON_WRITER_H_

#include <cstdio>
#include <vector>

#include "model_runner.h"
#include "tensorflow/lite/core/c/common.h"

namespace litesmith {
namespace {

// Length of the well-formed UTF-8 sequence at `text`, 0 if it is not well-formed.
size_t Utf8Length(const unsigned char* text) {
  const size_t length = *text < 0x80 ? 1 : *text >= 0xc2 && *text < 0xe0 ? 2 : *text >= 0xe0 && *text < 0xf0 ? 3 : *text >= 0xf0 && *text < 0xf5 ? 4 : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((text[i] & 0xc0) != 0x80) return 0;
  }
  return length;
}

// Bytes that are not UTF-8 become U+FFFD.
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

// TfLiteTypeGetName gives FLOAT32; litesmith writes float32.
void PrintDtype(const TfLiteTensor& tensor) {
  for (const char* c = TfLiteTypeGetName(tensor.type); *c != '\0'; ++c) putchar(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
}

const char* Name(const TfLiteTensor& tensor) { return tensor.name != nullptr ? tensor.name : ""; }

// A member of a JSON object, with a comma after it.
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

}  // namespace
}  // namespace litesmith

#endif  // LITESMITH_JSON_WRITER_H_
