# Prints the current clock of a board's first core, its temperature and the load, one KEY=VALUE a line.
cpu=/sys/devices/system/cpu/cpu0/cpufreq
for name in scaling_governor scaling_cur_freq cpuinfo_max_freq; do
  [ ! -r "$cpu/$name" ] || echo "$name=$(cat "$cpu/$name")"
done
[ ! -r /sys/class/thermal/thermal_zone0/temp ] || echo "temperature=$(cat /sys/class/thermal/thermal_zone0/temp)"
[ ! -r /proc/loadavg ] || echo "load=$(cut -d ' ' -f 1 </proc/loadavg)"
exit 0
