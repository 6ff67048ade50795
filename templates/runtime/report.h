// Prints what was measured: as text, or as one JSON object.
// Part of main.cc: with internal linkage, and without calls across files, the program is smallest.

#ifndef LITESMITH_REPORT_H_
#define LITESMITH_REPORT_H_

#include <cstdint>
#include <cstdio>
#include <vector>

#include "json_writer.h"
#include "measurement.h"
#include "model_runner.h"
#include "options.h"

namespace litesmith {
namespace {

void PrintMilliseconds(const char* label, int64_t microseconds) {
  printf("%s%lld.%03lld", label, static_cast<long long>(microseconds / 1000), static_cast<long long>(microseconds % 1000));
}

int64_t Median(const std::vector<int64_t>& sorted) {
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

#ifdef LITESMITH_PROFILE
// Members of the JSON object in programs built for profiling, with a comma after the last one.
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

}  // namespace
}  // namespace litesmith

#endif  // LITESMITH_REPORT_H_
