// Runs a program many times without starting it again.  Loaded with LD_PRELOAD, it stops the program before
// main: for each byte on descriptor CONTROL a fork of it runs main with the arguments of the command line, and
// the status of the child's end, as waitpid gives it, goes to descriptor STATUS.
//
// A child gets SERVER_SECONDS of processor time, and six times as many by the clock.

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTROL = 198, STATUS = 199 };

__attribute__((constructor)) static void serve(void) {
  const char* seconds = getenv("SERVER_SECONDS");
  if (seconds == NULL) return;
  unsetenv("LD_PRELOAD");
  const unsigned limit = (unsigned)atoi(seconds);
  char request;
  while (read(CONTROL, &request, 1) == 1) {
    const pid_t child = fork();
    if (child < 0) _exit(1);
    if (child == 0) {
      close(CONTROL);
      close(STATUS);
      // Files that are opened for writing with truncation would keep what the run before has written.
      (void)!ftruncate(STDERR_FILENO, 0);
      lseek(STDERR_FILENO, 0, SEEK_SET);
      const struct rlimit time = {limit, limit + 1};
      const struct rlimit none = {0, 0};
      setrlimit(RLIMIT_CPU, &time);
      setrlimit(RLIMIT_CORE, &none);
      alarm(6 * limit);
      return;
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) _exit(1);
    if (write(STATUS, &status, sizeof(status)) != sizeof(status)) _exit(1);
  }
  _exit(0);
}
