# Removes all releases but the current one and those before it, and files that no release uses.
# $1 folder, $2 token, $3 number of releases to keep besides the current one.
held "$1" "$2"
cd "$1/releases" || exit 50
kept=$(readlink ../current | sed 's,.*/,,')
release=$kept
left=$3
while [ "$left" -gt 0 ]; do
  release=$(cat "$release/before" 2>/dev/null) || break
  case " $kept " in *" $release "*) break ;; esac
  [ -d "$release" ] || break
  kept="$kept $release"
  left=$((left - 1))
done
for release in *; do
  case " $kept " in *" $release "*) ;; *) [ ! -d "$release" ] || rm -rf "$release" ;; esac
done
kept=" $(used ..)"
for file in ../files/*; do
  case $kept in *" ${file##*/} "*) ;; *) rm -f "$file" ;; esac
done
exit 0
