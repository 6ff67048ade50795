# Holds the lock of an install folder until standard input ends; each line of it is a sign of life.
# $1 folder, $2 token, $3 owner, $4 seconds after which a silent owner is taken for dead.
lock=$1/.lock
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
mkdir -p "$1" || exit 10
take() {
  mkdir "$lock" 2>/dev/null || return 1
  echo "$3" >"$lock/owner" && echo "$boot" >"$lock/boot" && date +%s >"$lock/since" &&
    date +%s >"$lock/beat" && echo "$2" >"$lock/token" || { rm -rf "$lock"; exit 10; }
}
if ! take "$@"; then
  [ -d "$lock" ] || { mkdir "$lock"; exit 10; }
  # Its owner may be about to write what it is.
  [ -s "$lock/token" ] || sleep 1
  now=$(date +%s)
  beat=$(cat "$lock/beat" 2>/dev/null || echo 0)
  silent=$((now - beat))
  if [ "$(cat "$lock/boot" 2>/dev/null)" != "$boot" ] || [ "$silent" -gt "$4" ] || [ "$silent" -lt 0 ]; then
    mv "$lock" "$1/.dead-$2" 2>/dev/null && rm -rf "$1/.dead-$2"
    take "$@" || { echo "busy 0 0 somebody who was faster"; exit 11; }
  else
    echo "busy $((now - $(cat "$lock/since" 2>/dev/null || echo "$now"))) $silent $(cat "$lock/owner" 2>/dev/null)"
    exit 11
  fi
fi
echo taken
while read -r _; do
  [ "$(cat "$lock/token" 2>/dev/null)" = "$2" ] || exit 12
  date +%s >"$lock/beat"
done
[ "$(cat "$lock/token" 2>/dev/null)" != "$2" ] || rm -rf "$lock"
