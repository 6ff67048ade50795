# Removes files that were sent for a measurement and that no release uses.  $1 folder, $2 token, then digests.
held "$1" "$2"
folder=$1
shift 2
kept=" $(used "$folder")"
for digest in "$@"; do
  case $kept in *" $digest "*) ;; *) rm -f "$folder/files/$digest" ;; esac
done
exit 0
