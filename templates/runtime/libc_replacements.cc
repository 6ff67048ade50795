// Replacements for functions of the C and C++ libraries that are slow or large in this program.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <unordered_map>

#include <sched.h>
#include <unistd.h>

#define LITESMITH_VISIBLE __attribute__((visibility("default")))

// musl, as zig builds it, copies and clears memory byte by byte: on x86_64 a third of the time of
// an inference of a small convolutional network.  glibc has fast functions of its own.
#ifndef __GLIBC__

#if defined(__SSE2__) || defined(__ARM_NEON)
#define LITESMITH_UNALIGNED_BLOCKS 1
typedef uint8_t Block __attribute__((vector_size(16), aligned(1), may_alias));
#else
typedef uintptr_t __attribute__((may_alias)) Block;
#endif

namespace {

bool BlocksAllowed(uintptr_t addresses) {
#ifdef LITESMITH_UNALIGNED_BLOCKS
  (void)addresses;
  return true;
#else
  return (addresses & (sizeof(Block) - 1)) == 0;
#endif
}

}  // namespace

extern "C" {

LITESMITH_VISIBLE void* memcpy(void* __restrict to, const void* __restrict from, size_t size) {
  auto* out = static_cast<uint8_t*>(to);
  const auto* in = static_cast<const uint8_t*>(from);
  if (BlocksAllowed(reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from))) {
    for (; size >= sizeof(Block); size -= sizeof(Block), out += sizeof(Block), in += sizeof(Block)) {
      *reinterpret_cast<Block*>(out) = *reinterpret_cast<const Block*>(in);
    }
  }
#pragma clang loop vectorize(disable) unroll(disable)
  while (size-- > 0) *out++ = *in++;
  return to;
}

LITESMITH_VISIBLE void* memset(void* to, int value, size_t size) {
  auto* out = static_cast<uint8_t*>(to);
  if (BlocksAllowed(reinterpret_cast<uintptr_t>(to))) {
#ifdef LITESMITH_UNALIGNED_BLOCKS
    const Block block = Block{} + static_cast<uint8_t>(value);
#else
    const Block block = static_cast<uint8_t>(value) * (~static_cast<Block>(0) / 255);
#endif
    for (; size >= sizeof(Block); size -= sizeof(Block), out += sizeof(Block)) {
      *reinterpret_cast<Block*>(out) = block;
    }
  }
#pragma clang loop vectorize(disable) unroll(disable)
  while (size-- > 0) *out++ = static_cast<uint8_t>(value);
  return to;
}

}  // extern "C"

#endif  // __GLIBC__

// Without exceptions, what operator new throws cannot be caught: the program prints a message and ends
// here.  All of these operators are replaced, so that the library's, and with them the unwinder, are not linked.
namespace {

void* Allocate(size_t size, size_t alignment) {
  void* memory = nullptr;
  if (size == 0) size = 1;
  if (alignment <= alignof(max_align_t)) {
    memory = malloc(size);
  } else if (posix_memalign(&memory, alignment, size) != 0) {
    memory = nullptr;
  }
  if (memory == nullptr) {
    constexpr char kMessage[] = "error: the run needs more memory than there is\n";
    (void)!write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
    constexpr int kRunFailed = 4;
    _exit(kRunFailed);
  }
  return memory;
}

}  // namespace

LITESMITH_VISIBLE void* operator new(size_t size) { return Allocate(size, 0); }
LITESMITH_VISIBLE void* operator new[](size_t size) { return Allocate(size, 0); }
LITESMITH_VISIBLE void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
LITESMITH_VISIBLE void* operator new[](size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
LITESMITH_VISIBLE void operator delete(void* memory) noexcept { free(memory); }
LITESMITH_VISIBLE void operator delete[](void* memory) noexcept { free(memory); }
LITESMITH_VISIBLE void operator delete(void* memory, size_t) noexcept { free(memory); }
LITESMITH_VISIBLE void operator delete[](void* memory, size_t) noexcept { free(memory); }
LITESMITH_VISIBLE void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
LITESMITH_VISIBLE void operator delete[](void* memory, std::align_val_t) noexcept { free(memory); }
LITESMITH_VISIBLE void operator delete(void* memory, size_t, std::align_val_t) noexcept { free(memory); }
LITESMITH_VISIBLE void operator delete[](void* memory, size_t, std::align_val_t) noexcept { free(memory); }

// libc++ and musl are linked statically, so that functions which they call can be replaced as well.
#ifndef __GLIBC__

extern "C" {

// Guards of function-local statics: the first byte is set once the variable is initialised, the second while a
// thread initialises it.
LITESMITH_VISIBLE int __cxa_guard_acquire(uint8_t* guard) {
  while (__atomic_load_n(guard, __ATOMIC_ACQUIRE) == 0) {
    if (__atomic_exchange_n(guard + 1, 1, __ATOMIC_ACQUIRE) == 0) {
      if (__atomic_load_n(guard, __ATOMIC_ACQUIRE) == 0) return 1;
      __atomic_store_n(guard + 1, 0, __ATOMIC_RELEASE);
    } else {
      sched_yield();
    }
  }
  return 0;
}

LITESMITH_VISIBLE void __cxa_guard_release(uint8_t* guard) {
  __atomic_store_n(guard, 1, __ATOMIC_RELEASE);
  __atomic_store_n(guard + 1, 0, __ATOMIC_RELEASE);
}

LITESMITH_VISIBLE void __cxa_guard_abort(uint8_t* guard) { __atomic_store_n(guard + 1, 0, __ATOMIC_RELEASE); }

}  // extern "C"

_LIBCPP_BEGIN_NAMESPACE_STD

// The number of buckets of a hash table: the smallest prime not below `least`.  libc++ finds the same number with
// a wheel and a table of 2 KB.
LITESMITH_VISIBLE size_t __next_prime(size_t least) {
  if (least <= 2) return least;
  for (size_t candidate = least | 1;; candidate += 2) {
    size_t divisor = 3;
    while (divisor <= candidate / divisor && candidate % divisor != 0) divisor += 2;
    if (divisor > candidate / divisor) return candidate;
  }
}

_LIBCPP_END_NAMESPACE_STD

#endif  // __GLIBC__

extern "C" {

#ifndef LITESMITH_XNNPACK
// TensorFlow Lite owns a pthreadpool for XNNPACK, which is not part of this program.
LITESMITH_VISIBLE void pthreadpool_destroy(void*) {}
#endif

// The default terminate handler prints the demangled name of an uncaught exception's type.
// Nothing here throws, and the demangler takes 100 KB.  Hidden: a shared libstdc++ uses its own.
__attribute__((visibility("hidden"))) char* __cxa_demangle(const char*, char*, size_t*, int* status) {
  constexpr int kInvalidName = -2;
  if (status != nullptr) *status = kInvalidName;
  return nullptr;
}

}  // extern "C"
