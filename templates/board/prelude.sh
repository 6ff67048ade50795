# Prepended to every script.  Uses busybox for tools that are not installed as separate commands.
for tool in awk basename cat chmod cut date df dirname head ln mkdir mktemp mv readlink rm sed sha256sum sleep sync \
  tail tr wc; do
  command -v "$tool" >/dev/null 2>&1 || ! busybox "$tool" --help >/dev/null 2>&1 ||
    eval "$tool() { busybox $tool \"\$@\"; }"
done
# Ends the script if another process has taken the lock.  $1 folder, $2 token.
held() {
  case $(readlink "$1/.lock") in "$2 "*) ;; *) echo "the lock of $1 now belongs to another process" >&2; exit 60 ;; esac
}
# Prints the digests of the files that releases use, separated by blanks.  $1 folder.
used() {
  for link in "$1"/releases/*/*; do [ ! -L "$link" ] || readlink "$link"; done | sed 's,.*/,,' | tr '\n' ' '
}
# Whether a file exists and has the digest in its name.
whole() {
  [ -f "$1" ] && sum=$(sha256sum <"$1") && [ "${sum%% *}" = "${1##*/}" ]
}
