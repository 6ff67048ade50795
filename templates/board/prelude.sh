# Stands before every script.  Where a tool has no name of its own, busybox has it.
for tool in awk basename cat chmod cut date df dirname head ln mkdir mktemp mv readlink rm sed sha256sum sleep sync \
  tail tr wc; do
  command -v "$tool" >/dev/null 2>&1 || ! busybox "$tool" --help >/dev/null 2>&1 ||
    eval "$tool() { busybox $tool \"\$@\"; }"
done
# Ends a script when its lock is somebody else's by now.  $1 folder, $2 token.
held() {
  case $(readlink "$1/.lock") in "$2 "*) ;; *) echo "somebody else holds the lock of $1 now" >&2; exit 60 ;; esac
}
# Digests of the files that releases use, each between blanks.  $1 folder.
used() {
  for link in "$1"/releases/*/*; do [ ! -L "$link" ] || readlink "$link"; done | sed 's,.*/,,' | tr '\n' ' '
}
# Whether a file is what its name says.
whole() {
  [ -f "$1" ] && sum=$(sha256sum <"$1") && [ "${sum%% *}" = "${1##*/}" ]
}
