from __future__ import annotations

from litesmith.study.bench import ruy_kernels


def test_kernels_in_a_log() -> None:
    log = (
        "IN: _ZN3ruy21Kernel8bitNeonDotprodERKNS_16KernelParams8bitILi8ELi8EEE\n"
        "0x0040:  4f80e010          .byte    0x10\n"
        "IN: _ZN3ruy21Kernel8bitNeonDotprodERKNS_16KernelParams8bitILi8ELi8EEE\n"
        "IN: _ZN3ruy14Kernel8bitNeonERKNS_16KernelParams8bitILi4ELi2EEE\n"
        "IN: _ZN3ruy20MakeKernelParams8bitIaaLi8ELi8EEEvRKNS_4PMatIaEE\n"
        "IN: memcpy\n"
    )
    assert ruy_kernels.kernels_in_log(log) == ("Kernel8bitNeon", "Kernel8bitNeonDotprod")
    assert ruy_kernels.kernels_in_log("IN: main\n") == ()


def test_the_portable_kernel_in_a_log() -> None:
    log = "IN: _ZN3ruy9RunKernelINS_6KernelILNS_4PathE2EaaiaEEE3RunENS_6TuningE\n"
    assert ruy_kernels.kernels_in_log(log) == ("portable C++",)
