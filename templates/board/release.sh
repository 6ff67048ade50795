# Creates a release from files that are present; the current release stays current.
# $1 folder, $2 token, $3 release, then pairs of name and digest; standard input is release.json.
folder=$1 release=$3 new=$1/releases/.new-$2
held "$1" "$2"
shift 3
rm -rf "$new"
mkdir -p "$new" && cat >"$new/release.json" || exit 30
while [ $# -gt 0 ]; do
  [ -f "$folder/files/$2" ] || { echo "$1 is missing from $folder/files" >&2; exit 31; }
  ln -s "../../files/$2" "$new/$1" || exit 30
  shift 2
done
[ ! -L "$folder/current" ] || readlink "$folder/current" | sed 's,.*/,,' >"$new/before" || exit 30
if [ -d "$folder/releases/$release" ]; then
  # This release exists already: only the one before it may differ.
  current=$(readlink "$folder/current" 2>/dev/null | sed 's,.*/,,')
  [ "$current" = "$release" ] || [ ! -f "$new/before" ] ||
    mv -f "$new/before" "$folder/releases/$release/before" || exit 30
  mv -f "$new/release.json" "$folder/releases/$release/release.json" || exit 30
  rm -rf "$new"
else
  mv -T "$new" "$folder/releases/$release" || exit 30
fi
sync
