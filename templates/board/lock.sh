# Holds the lock of an install folder until standard input ends.  Each line of input is a heartbeat and is answered.
# $1 folder, $2 token, $3 owner, $4 seconds without a heartbeat after which an owner counts as dead,
# $5 seconds to wait for a living owner.
# The lock is a symbolic link whose target describes its owner: creating it is atomic and needs no space on a full
# disk.  No decision depends on the time of day, because a board's clock may jump.
lock=$1/.lock
boot=$(cut -c 1-8 /proc/sys/kernel/random/boot_id 2>/dev/null)
mine="$2 ${boot:-none} $(date +%s) $3"
mkdir -p "$1" || exit 10
# Changes while an owner is alive: its heartbeat, and the size of the file that it sends.
pulse() { readlink "$1/.beat"; wc -c "$1"/files/.partial-* 2>/dev/null; }
waited=0 quiet=0 gone=0 last=
until ln -s "$mine" "$lock" 2>/dev/null; do
  there=$(readlink "$lock")
  if [ -z "$there" ]; then
    # The lock was released in between, or the folder cannot be written.
    gone=$((gone + 1))
    [ "$gone" -lt 3 ] || { ln -s "$mine" "$lock"; exit 10; }
    continue
  fi
  now="$there $(pulse "$1")"
  if [ "$now" = "$last" ]; then quiet=$((quiet + 1)); else quiet=0 last=$now; fi
  rest=${there#* }
  if [ "${rest%% *}" != "${boot:-none}" ] || [ "$quiet" -ge "$4" ]; then
    # Only one process at a time checks again and removes the lock; ln decides who gets the next one.
    if ln -s "$2" "$1/.breaking" 2>/dev/null; then
      [ "$(readlink "$lock")" != "$there" ] || rm -f "$lock"
      rm -f "$1/.breaking"
      continue
    fi
    [ "$quiet" -lt $(($4 + 10)) ] || rm -f "$1/.breaking"
  elif [ "$waited" -ge "$5" ] && [ "$quiet" -lt "$5" ]; then
    who=${rest#* } since=${rest#* }
    echo "busy $(($(date +%s) - ${since%% *})) ${who#* }"
    exit 11
  fi
  waited=$((waited + 1))
  sleep 1
done
# The client may disconnect before it has read the answer.
trap '' PIPE
ln -sf 0 "$1/.beat"
echo taken
beat=0
while read -r _; do
  [ "$(readlink "$lock")" = "$mine" ] || { echo lost; exit 12; }
  beat=$((beat + 1))
  ln -sf "$beat" "$1/.beat"
  echo "$beat"
done
[ "$(readlink "$lock")" != "$mine" ] || rm -f "$1/.beat" "$lock"
