# Makes a release the current one, atomically.  $1 folder, $2 token, $3 release.
held "$1" "$2"
[ -d "$1/releases/$3" ] || { echo "there is no release $3" >&2; exit 40; }
for link in "$1/releases/$3"/*; do
  [ ! -L "$link" ] || [ -f "$link" ] || { echo "the release $3 is not whole: its ${link##*/} is missing" >&2; exit 42; }
done
rm -f "$1/.current-$2"
ln -s "releases/$3" "$1/.current-$2" && mv -T -f "$1/.current-$2" "$1/current" || exit 41
sync
