// ruy chooses its kernels through this class.  Upstream asks the cpuinfo library; built without it,
// ruy takes the portable path on every CPU.  This file asks the CPU or the kernel directly.

#include "ruy/cpuinfo.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ruy {
namespace {

#if defined(__x86_64__)

struct X86Features {
  bool sse42 = false;
  bool avx = false;
  bool avx2_fma = false;
  bool avx512 = false;
  bool avx_vnni = false;

  // Not __builtin_cpu_supports: in a static program with zig's compiler runtime it is always false.
  X86Features() {
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return;
    sse42 = (ecx & bit_SSE4_2) != 0;
    const bool has_avx = (ecx & bit_AVX) != 0;
    const bool has_fma = (ecx & bit_FMA) != 0;
    if ((ecx & bit_OSXSAVE) == 0) return;
    // The operating system must save the wider registers as well.
    unsigned saved_low, saved_high;
    __asm__("xgetbv" : "=a"(saved_low), "=d"(saved_high) : "c"(0));
    const bool ymm = (saved_low & 0x06) == 0x06;
    const bool zmm = (saved_low & 0xe6) == 0xe6;
    avx = has_avx && ymm;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return;
    avx2_fma = avx && has_fma && (ebx & bit_AVX2) != 0;
    constexpr unsigned kAvx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512CD | bit_AVX512BW | bit_AVX512VL;
    avx512 = zmm && (ebx & kAvx512) == kAvx512;
    avx_vnni = avx512 && (ecx & bit_AVX512VNNI) != 0;
  }
};

const X86Features& Features() {
  static const X86Features features;
  return features;
}

#elif defined(__aarch64__)

constexpr unsigned long kHwcapCpuid = 1UL << 11;
constexpr unsigned long kHwcapDotProduct = 1UL << 20;

// Part number of the Arm core that runs this thread, 0 if the kernel does not report it.
unsigned ArmPart() {
  if ((getauxval(AT_HWCAP) & kHwcapCpuid) == 0) return 0;
  unsigned long midr;
  __asm__("mrs %0, MIDR_EL1" : "=r"(midr));
  const bool made_by_arm = (midr >> 24 & 0xff) == 0x41;
  return made_by_arm ? midr >> 4 & 0xfff : 0;
}

#endif

}  // namespace

CpuInfo::~CpuInfo() = default;

CpuInfo::InitStatus CpuInfo::Initialize() {
  // ruy's own values for an unknown CPU.
  cache_params_.local_cache_size = 32 * 1024;
  cache_params_.last_level_cache_size = 512 * 1024;
  return InitStatus::kInitialized;
}

bool CpuInfo::EnsureInitialized() {
  if (init_status_ == InitStatus::kNotYetAttempted) init_status_ = Initialize();
  return true;
}

const CpuCacheParams& CpuInfo::CacheParams() {
  EnsureInitialized();
  return cache_params_;
}

#if defined(__x86_64__)
bool CpuInfo::Sse42() { return Features().sse42; }
bool CpuInfo::Avx() { return Features().avx; }
bool CpuInfo::Avx2Fma() { return Features().avx2_fma; }
bool CpuInfo::Avx512() { return Features().avx512; }
bool CpuInfo::AvxVnni() { return Features().avx_vnni; }
#else
bool CpuInfo::Sse42() { return false; }
bool CpuInfo::Avx() { return false; }
bool CpuInfo::Avx2Fma() { return false; }
bool CpuInfo::Avx512() { return false; }
bool CpuInfo::AvxVnni() { return false; }
#endif

#if defined(__aarch64__)
bool CpuInfo::NeonDotprod() { return (getauxval(AT_HWCAP) & kHwcapDotProduct) != 0; }
bool CpuInfo::CurrentCpuIsA55ish() {
  const unsigned part = ArmPart();
  return part == 0xd03 || part == 0xd05;  // Cortex-A53, Cortex-A55
}
bool CpuInfo::CurrentCpuIsX1() { return ArmPart() == 0xd44; }
#else
bool CpuInfo::NeonDotprod() { return false; }
bool CpuInfo::CurrentCpuIsA55ish() { return false; }
bool CpuInfo::CurrentCpuIsX1() { return false; }
#endif

}  // namespace ruy
