# Reads a file from standard input and stores it under its digest, if that is correct.
# $1 folder, $2 token, $3 digest.
partial=$1/files/.partial-$2
held "$1" "$2"
mkdir -p "$1/files" || exit 20
trap 'rm -f "$partial"' EXIT
trap 'exit 22' HUP INT TERM
cat >"$partial" || exit 20
sum=$(sha256sum <"$partial")
if [ "${sum%% *}" != "$3" ]; then
  echo "the received file has the digest ${sum%% *}" >&2
  exit 21
fi
held "$1" "$2"
chmod 755 "$partial" && mv -f "$partial" "$1/files/$3" || exit 20
