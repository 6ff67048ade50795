# Takes a file from standard input, and keeps it under its digest when that is right.
# $1 folder, $2 digest, $3 token.
partial=$1/files/.partial-$3
mkdir -p "$1/files" || exit 20
trap 'rm -f "$partial"' EXIT
trap 'exit 22' HUP INT TERM
cat >"$partial" || exit 20
sum=$(sha256sum "$partial")
if [ "${sum%% *}" != "$2" ]; then
  echo "what arrived has the digest ${sum%% *}" >&2
  exit 21
fi
chmod 755 "$partial" && mv -f "$partial" "$1/files/$2" || exit 20
