# Describes a board, one KEY=VALUE a line.  $1 install folder.
echo "machine=$(uname -m)"
echo "kernel=$(uname -sr)"
# Under an emulator /proc/cpuinfo may be that of another machine: its line then has another name.
case $(uname -m) in
  arm* | aarch64) key=Features ;;
  riscv*) key=isa ;;
  *) key=flags ;;
esac
if [ -r /proc/cpuinfo ]; then
  echo "features=$(sed -n "s/^${key}[[:space:]]*:[[:space:]]*//p" /proc/cpuinfo | head -n 1)"
fi
libc=none
for file in /lib/*/ld-linux*.so* /lib/ld-musl-*.so* /lib64/ld-linux*.so* /lib/ld-linux*.so*; do
  [ ! -e "$file" ] || { libc=${file##*/}; echo "loader=$libc"; }
done
echo "libc=$libc"
for file in /lib/lib*.so.* /usr/lib/lib*.so.* /lib/*/lib*.so.* /usr/lib/*/lib*.so.*; do
  case ${file##*/} in
    libstdc++.so.6 | libgcc_s.so.1 | libatomic.so.1) echo "library=${file##*/}" ;;
  esac
done
if [ "$libc" != none ] && command -v ldd >/dev/null 2>&1; then
  echo "libc_version=$(ldd --version 2>&1 | head -n 1 | sed 's/.* //')"
fi
place=$1
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
echo "free=$(df -Pk "$place" 2>/dev/null | sed -n '$p' | awk '{print $4}')"
if [ -w "$place" ]; then echo writable=yes; else echo writable=no; fi
echo "memory=$(sed -n 's/^MemAvailable:[[:space:]]*\([0-9]*\).*/\1/p' /proc/meminfo 2>/dev/null)"
for tool in sha256sum mv ln mkdir cat rm sync; do
  command -v "$tool" >/dev/null 2>&1 || echo "lacks=$tool"
done
# Replacing a link to a folder atomically needs mv -T, which GNU and busybox have.
there=$(mktemp -d 2>/dev/null || mktemp -d "$place/.probe-XXXXXX" 2>/dev/null)
[ -z "$there" ] || (cd "$there" && mkdir a b && ln -s a l && ln -s b n && mv -T -f n l) 2>/dev/null \
  || echo "lacks=mv -T"
[ -z "$there" ] || rm -rf "$there"
[ ! -L "$1/current" ] || echo "current=$(readlink "$1/current" | sed 's,.*/,,')"
for release in "$1"/releases/*/; do
  [ ! -d "$release" ] || echo "release=$(basename "$release")"
done
