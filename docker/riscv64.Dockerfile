# The cross compiler of litesmith's toolchain docker, for Debian's riscv64: C++ compiler, linker
# and the target's C and C++ libraries, and nothing else.
# The base is pinned; './inv docker.base' makes another where no registry can be reached.
ARG BASE=debian:bookworm-slim@sha256:96e378d7e6531ac9a15ad505478fcc2e69f371b10f5cdf87857c4b8188404716
FROM ${BASE}
RUN apt-get update -qq -o APT::Update::Error-Mode=any \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends g++-riscv64-linux-gnu \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
