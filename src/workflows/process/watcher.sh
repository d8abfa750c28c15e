# Runs commands, each in a process group of its own, and sees to the end of each group, also while the service that asked
# for it is stopped, blocked or dead. Written for bash 3.2 and later.
#
#   bash --norc --noprofile -c '. "$0"' watcher.sh <directory>         with an empty environment and fds 0 to 2 /dev/null
#
# One host per service: Node forks its whole address space for each process it starts, this shell next to nothing. The
# host reads the name of a slot from fd 3, a line for each command, and forks a watcher for it. A slot is a directory with
#   request  entries ended by NUL: marker, seconds, working directory, script, and then the script's environment, with
#            `E` before each NAME=value, or `A` where bash itself would act on it and env(1) has to set it
#   orders   pipe, a line each; the command is killed when the time is over, and when the pipe closes:
#              renew <seconds>   sets the time left
#              term <seconds>    SIGTERM to the group, and sets the time left
#              kill              SIGKILL, as when the time is over
#            (and `done` from the watcher itself)
#   reports  pipe, a line each:
#              started <process group> <watcher>     before the command's first instruction
#              failed <why>                          instead of it
#              ...: <process group> Killed ...       bash's message where a signal ended the command, so that 137 is
#                                                    not an exit code (none for HUP, INT, PIPE and TERM)
#              ended <wait status> [term|kill]       and which order or silence came before the end
#   stdout, stderr   pipes of the command
#
# For each command there are two processes beside it: the watcher waits for it; a subshell of its own group obeys the
# orders. Either one is enough to end the command's group, so a step that kills its parent gains nothing.

# True when a member of the group is more than a zombie. Under a PID 1 that reaps nothing, zombies stay members for good.
group_runs() {
  [ -r /proc/self/stat ] || return 0
  local file line
  for file in /proc/[0-9]*/stat; do
    line=
    IFS= read -r -d '' line <"$file"
    # After the command's name, which may hold anything: state, parent, process group.
    # shellcheck disable=SC2086
    set -- ${line##*) }
    if [ "${3-}" = "$group" ] && [ "$1" != Z ]; then return 0; fi
  done
  return 1
}

# Returns when the group is empty, after two seconds at most. The signal is repeated for what was forked meanwhile. The
# group's number cannot have been given to others: as long as it has members, it is not free.
end_group() {
  local round
  for ((round = 0; round < 100; round++)); do
    kill -KILL -- "-$group" || return 0
    if ((round % 5 == 1)) && ! group_runs; then return 0; fi
    sleep 0.02
  done
}

# What left the group by setsid still has the marker in its environment, unless it took care to lose it. Neither this
# shell nor its children have it there.
sweep() {
  [ -r /proc/self/environ ] || return 0
  local round found file
  for ((round = 0; round < 20; round++)); do
    found=$(exec grep -lsF "TURNPIKE_RUN=$marker" /proc/[0-9]*/environ)
    [ -n "$found" ] || return 0
    for file in $found; do
      file=${file#/proc/}
      kill -KILL "${file%/environ}"
    done
  done
}

# Ends with status 0 when it has killed the group and swept; when the watcher says `done` before that, with 2 if the group
# was told to end, and 1 if not.
obey() {
  local left=$1 order seconds ordered=1
  while
    if ((BASH_VERSINFO[0] < 4)); then
      # Whole seconds only, and 0 would be no limit at all.
      left=${left%.*}
      ((left > 0)) || left=1
    fi
    read -r -t "$left" -u 3 order seconds
  do
    case $order in
    renew) left=$seconds ;;
    term)
      left=$seconds
      # The command may have ended just before.
      kill -TERM -- "-$group" && ordered=2
      # A stopped process would see SIGTERM only after the grace.
      kill -CONT -- "-$group"
      ;;
    done) exit "$ordered" ;;
    kill) break ;;
    esac
  done
  end_group
  sweep
  exit 0
}

# Becomes the command. The script's variables may have the names of those here: once the first of them is exported, nothing
# is used but the arguments and REPLY, which the service never sends as `E`.
become() {
  [ -z "${BASHPID-}" ] || echo "started $BASHPID $self" >&6
  set -- "$BASH" --norc --noprofile "$1"
  unset OLDPWD
  export TURNPIKE_RUN=$marker
  while IFS= read -r -d '' -u 7; do
    case $REPLY in
    E*) export "${REPLY#E}" ;;
    # The command line is turned into `env -- NAME=value ... bash ... script`.
    A*)
      [ "$1" = /usr/bin/env ] || set -- /usr/bin/env -- "$@"
      set -- /usr/bin/env -- "${REPLY#A}" "${@:3}"
      ;;
    esac
  done
  exec "$@" >&4 2>&5 3>&- 4>&- 5>&- 6>&- 7>&-
}

watch() {
  local marker left directory script self group control status forced='' slot=$PWD
  # To open one end of a named pipe blocks until the other end is open, forever if the service has died. Both ends at
  # once never block; closing that again leaves this shell with one end, and with an end of file if nobody has the other.
  # shellcheck disable=SC2094
  exec 7<>orders 3<orders 7<>reports 6>reports 7<>stdout 4>stdout 7<>stderr 5>stderr 7<request || exit
  IFS= read -r -d '' -u 7 marker
  IFS= read -r -d '' -u 7 left
  IFS= read -r -d '' -u 7 directory
  IFS= read -r -d '' -u 7 script
  if ! cd -- "$directory"; then
    echo 'failed cwd' >&6
    exit
  fi
  self=${BASHPID:-$(exec sh -c 'echo $PPID')}

  # Job control gives each background job its process group. It goes again before the wait, which would otherwise return
  # when the command is only stopped.
  set -m
  become "$script" &
  group=$!
  [ -n "${BASHPID-}" ] || echo "started $group $self" >&6
  exec 4>&- 5>&- 7>&-
  # What is sent to all processes of a service at once is not for the watcher: the service decides what its end means for
  # the commands. From here on, because the command would inherit this.
  trap '' HUP INT PIPE TERM
  # The end of the reports is the watcher's end: nobody else may hold the pipe open.
  obey "$left" 6>&- &
  control=$!
  set +m

  # A signal interrupts no wait here, and no trap runs during one: both make bash 5.2 lose the status now and then, a trap
  # for CHLD even corrupts its heap. What bash says about a death by signal is the only way to tell it from an exit.
  wait "$group" 2>&6
  status=$?
  while kill -0 "$group"; do
    wait "$group"
    status=$?
  done

  # Without the slot, most likely without the service, the subshell may be at any point.
  if [ -p "$slot/orders" ]; then echo 'done' 7<>"$slot/orders" >&7; else kill -KILL "$control"; fi
  wait "$control"
  case $? in
  0) forced='kill' ;;
  # A step's group ends with its run. In the usual case it is empty, and this starts no process.
  1) end_group ;;
  2)
    forced='term'
    end_group
    sweep
    ;;
  *)
    end_group
    sweep
    ;;
  esac
  # Only a pipe that nobody holds is empty for the next command. The kernel closes the pipes of a process that ends in no
  # particular order; the service must not see the end of the reports before this one is closed.
  exec 3<&-
  echo "ended $status $forced" >&6
  exit 0
}

# Descriptors of the service's own parent that were not close-on-exec.
close_descriptors() {
  local fd
  for fd in /dev/fd/*; do
    fd=${fd##*/}
    case $fd in
    [0-3] | *[!0-9]*) ;;
    *) eval "exec $fd>&-" ;;
    esac
  done
}

# Not exported, as nothing is here: for what is started below, and for messages that the service reads.
PATH=/usr/bin:/bin:/usr/sbin:/sbin
LC_ALL=C
close_descriptors
# A handler, unlike an ignored signal, is not inherited by the watchers and their commands.
trap : HUP INT PIPE TERM
while read -r -u 3 slot; do
  cd -- "$1/$slot" && watch &
done
# The service is gone; each watcher finds out by itself.
cd / && rm -rf -- "$1"
