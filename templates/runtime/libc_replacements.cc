// Functions of the C and C++ libraries that the program is better off with in another form.

#include <cstddef>
#include <cstdint>

// musl, as zig builds it, copies and clears memory byte by byte; on x86_64 that was a third of
// an inference of a small convolutional network.  glibc has its own fast functions.
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

__attribute__((visibility("default"))) void* memcpy(void* __restrict to, const void* __restrict from, size_t size) {
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

__attribute__((visibility("default"))) void* memset(void* to, int value, size_t size) {
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

extern "C" {

// TensorFlow Lite holds a pthreadpool for XNNPACK, which this program does not have.
__attribute__((visibility("default"))) void pthreadpool_destroy(void*) {}

// The default terminate handler prints the demangled name of an uncaught exception's type.
// Nothing here throws, and the demangler has 100 KB.  Hidden: a shared libstdc++ keeps its own.
__attribute__((visibility("hidden"))) char* __cxa_demangle(const char*, char*, size_t*, int* status) {
  constexpr int kInvalidName = -2;
  if (status != nullptr) *status = kInvalidName;
  return nullptr;
}

}  // extern "C"
