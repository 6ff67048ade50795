// Reads the command line into Options.
// Part of main.cc: with internal linkage, and without calls across files, the program is smallest.

#ifndef LITESMITH_COMMAND_LINE_H_
#define LITESMITH_COMMAND_LINE_H_

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "exit_codes.h"
#include "options.h"
#include "selected_ops.h"

namespace litesmith {
namespace {

void Usage(FILE* to, const char* program) {
  fprintf(to,
          "usage: %s --model FILE [options]\n"
          "  --model FILE       the .tflite file%s\n"
          "  --input FILE       raw little-endian tensor, once for each input in the model's order;\n"
          "                     zeros where none is given\n"
          "  --input-shape NAME=1x224x224x3\n"
          "                     shape of an input, by its own name, its name in the signature or its position\n"
          "  --signature KEY    run this signature (default: the model's first subgraph)\n"
          "  --output-dir DIR   write out0.bin, out1.bin ... there\n"
          "  --runs N           repeat the inference N times (default 1)\n"
#ifdef LITESMITH_PROFILE
          "  --warm-up N        run it N times before (default 1)\n"
#endif
#ifdef LITESMITH_NODE_CHECK
          "  --node-inputs FILE, --node-outputs FILE\n"
          "                     run each node on the inputs in one file and write its outputs to the other\n"
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
  // A tensor's name may contain any character: the dimensions follow the last "=".
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

// Returns kOk to continue, -1 to end without an error (--help), or an exit code.
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
#ifdef LITESMITH_NODE_CHECK
    if (name == "--node-inputs" && i + 1 < argc) {
      options->node_inputs = argv[++i];
      continue;
    }
    if (name == "--node-outputs" && i + 1 < argc) {
      options->node_outputs = argv[++i];
      continue;
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

}  // namespace
}  // namespace litesmith

#endif  // LITESMITH_COMMAND_LINE_H_
