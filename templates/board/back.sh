# Prints the current release and the one before it, if its files are complete.  $1 folder.
current=$(readlink "$1/current" | sed 's,.*/,,')
[ -n "$current" ] || { echo "nothing was deployed yet" >&2; exit 42; }
before=$(cat "$1/releases/$current/before" 2>/dev/null)
if [ -z "$before" ] || [ ! -d "$1/releases/$before" ]; then
  echo "there is no release before $current" >&2
  exit 43
fi
for link in "$1/releases/$before"/*; do
  [ -L "$link" ] || continue
  file=$(readlink "$link")
  whole "$1/files/${file##*/}" || { echo "the release $before is not whole: its ${link##*/} is missing or damaged" >&2; exit 44; }
done
echo "$current $before"
