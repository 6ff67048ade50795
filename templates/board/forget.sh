# Removes files that came for a measurement and that no release has.  $1 folder, then digests.
folder=$1
shift
for digest in "$@"; do
  for link in "$folder"/releases/*/*; do
    [ ! -L "$link" ] || [ "$(readlink "$link")" != "../../files/$digest" ] || continue 2
  done
  rm -f "$folder/files/$digest"
done
exit 0
