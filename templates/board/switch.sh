# Makes a release the current one, in one step.  $1 folder, $2 release, $3 token.
[ -d "$1/releases/$2" ] || { echo "there is no release $2" >&2; exit 40; }
rm -f "$1/.current-$3"
ln -s "releases/$2" "$1/.current-$3" && mv -T -f "$1/.current-$3" "$1/current" || exit 41
sync
