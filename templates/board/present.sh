# Which of the files are there and whole: prints their digests.  $1 folder, then digests.
folder=$1
shift
rm -rf "$folder"/files/.partial-* "$folder"/releases/.new-* "$folder"/.current-* "$folder"/.scratch-*
for digest in "$@"; do
  file=$folder/files/$digest
  [ -f "$file" ] || continue
  sum=$(sha256sum "$file")
  if [ "${sum%% *}" = "$digest" ]; then echo "$digest"; else rm -f "$file"; fi
done
exit 0
