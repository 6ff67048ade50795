# Cleans up after failed deployments; prints which files are present and complete, and the free space in KiB.
# $1 folder, $2 token, then the digests of the files.
held "$1" "$2"
folder=$1
shift 2
rm -rf "$folder"/files/.partial-* "$folder"/releases/.new-* "$folder"/.current-* "$folder"/.scratch-*
kept=" $* $(used "$folder")"
for file in "$folder"/files/*; do
  case $kept in *" ${file##*/} "*) ;; *) rm -f "$file" ;; esac
done
for digest in "$@"; do
  # A damaged file stays until it is replaced: a running program may use it.
  ! whole "$folder/files/$digest" || echo "have=$digest"
done
echo "free=$(df -Pk "$folder" 2>/dev/null | sed -n '$p' | awk '{print $4}')"
exit 0
