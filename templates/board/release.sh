# Makes a release of files that are there, beside the current one.
# $1 folder, $2 release, $3 token, then pairs of name and digest; standard input is release.json.
folder=$1 release=$2 new=$1/releases/.new-$3
shift 3
rm -rf "$new"
mkdir -p "$new" && cat >"$new/release.json" || exit 30
while [ $# -gt 0 ]; do
  ln -s "../../files/$2" "$new/$1" || exit 30
  shift 2
done
[ ! -L "$folder/current" ] || readlink "$folder/current" | sed 's,.*/,,' >"$new/before" || exit 30
if [ -d "$folder/releases/$release" ]; then
  # The same files once more: only what was before it may have changed.
  current=$(readlink "$folder/current" 2>/dev/null | sed 's,.*/,,')
  [ "$current" = "$release" ] || [ ! -f "$new/before" ] ||
    mv -f "$new/before" "$folder/releases/$release/before" || exit 30
  mv -f "$new/release.json" "$folder/releases/$release/release.json" || exit 30
  rm -rf "$new"
else
  mv -T "$new" "$folder/releases/$release" || exit 30
fi
sync
