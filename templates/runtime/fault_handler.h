// Ends the program with one line where a kernel aborts or faults.
// Part of main.cc: with internal linkage, and without calls across files, the program is smallest.

#ifndef LITESMITH_FAULT_HANDLER_H_
#define LITESMITH_FAULT_HANDLER_H_

#include <unistd.h>

#include <csignal>

#include "exit_codes.h"

namespace litesmith {
namespace {

// Kernels abort on impossible values, such as a wrong scale in a damaged model.  The other signals are the last line
// of defence: what a damaged model can do is checked before (graph_check.cc).
void HandleFaults() {
  // Enough for the handler, and for the registers that the system saves: with AVX-512 2.5 KB, with SVE up to 9 KB.
  alignas(16) static char stack[16384];
  stack_t own = {};
  own.ss_sp = stack;
  own.ss_size = sizeof(stack);
  // Without it, the handler cannot run when the stack is full.
  sigaltstack(&own, nullptr);
  struct sigaction action = {};
  action.sa_flags = SA_ONSTACK;
  action.sa_handler = [](int) {
    constexpr char kMessage[] = "error: a kernel stopped on a value that makes no sense; the model may be damaged\n";
    (void)!write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
    _exit(kRunFailed);
  };
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(signal, &action, nullptr);
}

}  // namespace
}  // namespace litesmith

#endif  // LITESMITH_FAULT_HANDLER_H_
