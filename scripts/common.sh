# Sourced by the other scripts: calm steps, a line and a log each.
# A step's output goes to build/logs/NAME.log and is shown only when the step fails.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8
mkdir -p build/logs
started=$(date +%s%N)
model=${REGARD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/regard}/smollm2.gguf  # where pull puts it
ticker=

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# Seconds since a moment in nanoseconds, with one decimal.
seconds_since() {
  local tenths=$((($(date +%s%N) - $1) / 100000000))
  echo "$((tenths / 10)).$((tenths % 10))"
}

# On a terminal a running step shows its time, and [12/40] while ninja counts.
tick() {
  while sleep 0.5; do
    printf '\r  %-46s %6s s %s\033[K' "$1" "$(seconds_since "$2")" \
      "$(tail -c 400 "$3" | grep -oE '\[[0-9]+/[0-9]+\]' | tail -n 1 || true)"
  done
}
stop_ticker() {
  if [ -n "$ticker" ]; then
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    ticker=
    printf '\r\033[K'
  fi
}
trap stop_ticker EXIT

# step "What it does" NAME COMMAND...: runs it and says how long it took; ends the script if it
# fails, naming the stage.
step() {
  local title=$1 name=$2 begin status
  local log=build/logs/$name.log
  shift 2
  begin=$(date +%s%N)
  : >"$log"
  if [ -t 1 ]; then
    tick "$title" "$begin" "$log" &
    ticker=$!
  fi
  # In a subshell of its own, so that -e holds inside functions too.
  set +e
  (set -e; "$@") >"$log" 2>&1 </dev/null
  status=$?
  set -e
  stop_ticker
  if [ "$status" -ne 0 ]; then
    tail -n 60 "$log" >&2
    printf '  %-46s %6s s  failed\n' "$title" "$(seconds_since "$begin")"
    fail "stage '$name' failed with status $status; its whole output is in $log"
  fi
  printf '  %-46s %6s s\n' "$title" "$(seconds_since "$begin")"
}

# Installing needs root: a user on a terminal is asked for the password before the steps begin.
authorise() {
  if [ "$(id -u)" -ne 0 ] && [ -t 0 ] && [ -n "$(scripts/setup --missing "$@")" ]; then
    echo "  Debian packages are missing; sudo may ask for your password."
    sudo -v
  fi
}

# Configures a preset if it is new or an option is to change; ninja sees everything else itself.
configure() {
  local preset=$1 option
  shift
  if [ -f "build/$preset/build.ninja" ]; then
    for option in "$@"; do
      option=${option#-D}
      grep -q "^${option%%=*}:[A-Z]*=${option#*=}$" "build/$preset/CMakeCache.txt" || break
      option=
    done
    [ -n "${option:-}" ] || return 0
  fi
  cmake --preset "$preset" "$@"
}
