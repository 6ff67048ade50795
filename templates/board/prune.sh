# Removes releases but for the current one and those before it, and files that no release has.
# $1 folder, $2 releases to keep beside the current one.
cd "$1/releases" || exit 50
kept=$(readlink ../current | sed 's,.*/,,')
release=$kept
left=$2
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
used=$(for link in */*; do [ ! -L "$link" ] || readlink "$link"; done | sed 's,.*/,,')
for file in ../files/*; do
  name=${file##*/}
  case "
$used
" in *"
$name
"*) ;; *) rm -f "$file" ;; esac
done
exit 0
