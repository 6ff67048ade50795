# Runs a program in its own scratch folder on inputs from standard input.
# $1 folder, $2 token, $3 time limit in seconds, $4 sizes of the inputs in bytes, then the command, to which
# --input options are added.  Standard output gets one line with the sizes of the program's standard output and of
# its output files, then their contents in the same order.
held "$1" "$2"
folder=$1 token=$2 limit=$3 sizes=$4
scratch=$1/.scratch-$2
# Clean up however the script ends: the client may disconnect before it has read the answer.
trap 'cd / && rm -rf "$scratch"' EXIT
trap 'exit 98' HUP INT PIPE TERM
rm -rf "$scratch" && mkdir -p "$scratch" && cd "$scratch" || exit 97
cat >all.bin || exit 97
shift 4
number=0
start=1
for size in $sizes; do
  tail -c +"$start" all.bin | head -c "$size" >"in$number.bin" || exit 97
  set -- "$@" --input "in$number.bin"
  start=$((start + size))
  number=$((number + 1))
done
rm -f all.bin
"$@" --output-dir . >said.txt </dev/null &
program=$!
# Kill the program at the time limit, or when the lock is lost.
(
  while sleep 1 && kill -0 "$program"; do
    limit=$((limit - 1))
    [ "$limit" -gt 0 ] || : >late
    case $(readlink "$folder/.lock") in "$token "*) ;; *) : >late ;; esac
    [ ! -f late ] || kill -9 "$program"
  done
) >/dev/null 2>&1 </dev/null &
guard=$!
wait "$program"
code=$?
kill "$guard" 2>/dev/null
if [ -f late ]; then
  echo "it did not end within $limit s" >&2
  code=124
fi
[ "$code" = 0 ] || exit "$code"
number=0
sizes=$(wc -c <said.txt)
while [ -f "out$number.bin" ]; do
  sizes="$sizes $(wc -c <"out$number.bin")"
  number=$((number + 1))
done
echo $sizes
cat said.txt
last=$number
number=0
while [ "$number" -lt "$last" ]; do
  cat "out$number.bin"
  number=$((number + 1))
done
exit 0
