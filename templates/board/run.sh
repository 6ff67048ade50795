# Runs a program in a scratch folder of its own, on inputs that come by standard input.
# $1 folder, $2 token, $3 sizes of the inputs in bytes, then the command, to which --input options are added.
# Standard output gets one line with the sizes of what the program said and of its outputs, then all of it.
scratch=$1/.scratch-$2
rm -rf "$scratch" && mkdir -p "$scratch" && cd "$scratch" || exit 97
cat >all.bin || exit 97
sizes=$3
shift 3
number=0
start=1
for size in $sizes; do
  tail -c +"$start" all.bin | head -c "$size" >"in$number.bin" || exit 97
  set -- "$@" --input "in$number.bin"
  start=$((start + size))
  number=$((number + 1))
done
rm -f all.bin
"$@" --output-dir . >said.txt
code=$?
if [ "$code" != 0 ]; then
  cd .. && rm -rf "$scratch"
  exit "$code"
fi
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
cd .. && rm -rf "$scratch"
exit 0
