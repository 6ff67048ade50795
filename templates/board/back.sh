# Which release was current before.  $1 folder.
current=$(readlink "$1/current" | sed 's,.*/,,')
[ -n "$current" ] || { echo "nothing was deployed yet" >&2; exit 42; }
before=$(cat "$1/releases/$current/before" 2>/dev/null)
if [ -z "$before" ] || [ ! -d "$1/releases/$before" ]; then
  echo "there is no release before $current" >&2
  exit 43
fi
echo "$current $before"
