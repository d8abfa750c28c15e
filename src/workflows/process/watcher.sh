# Runs commands, each in a process group of its own, and sees to the end of each group, also while the service that asked
# for it is stopped, blocked or dead. Written for bash 3.2 and later.
#
#   bash --norc --noprofile -c '. "$0"' watcher.sh <directory>         with an empty environment and fds 0 to 2 /dev/null
#
# One host per service: Node forks its whole address space for each process it starts, this shell next to nothing. The
# host reads the name of a slot from fd 3, a line for each, and forks a watcher for it, which serves one run after another
# until a run did not end in order or the service is gone. A slot is a directory with
#   requests pipe, a line for each run: <marker> <seconds>
#   request  of that run, in quoted words that bash reads at once: `MAPFILE=(NAME=value ...)`, the script's environment, and
#            `set -- <working directory> <script> [NAME=value ...]`, with variables on which bash itself would act, and
#            which env(1) therefore has to set; before them `ulimit` commands. With `sandbox=(bwrap ...)` that is what is
#            run, with the command as its last arguments: it reads the rest of its own from `arguments` (fd 7), the
#            environment with it, and writes to `status` (fd 8) which process is the first one inside
#   orders   pipe, a line each; the command is killed when the time is over, and when the pipe closes:
#              renew <seconds>   sets the time left
#              term <seconds>    SIGTERM to the group, and sets the time left
#              kill              SIGKILL, as when the time is over
#            (and `run <process group> <marker> <seconds> [sandbox]` and `done` from the watcher itself). What comes between
#            two runs came too late, and has no effect: the service gives no order before it has read `started`.
#   answers  pipe between the watcher's two processes
#   reports  pipe, a line each:
#              started <process group> <watcher>     before the command's first instruction
#              failed <why>                          instead of it
#              ...: <process group> Killed ...       bash's message where a signal ended the command, so that 137 is
#                                                    not an exit code (none for HUP, INT, PIPE and TERM)
#              ended <wait status> [term|kill]       and which order or silence came before the end; without one, the
#                                                    watcher waits for the next run
#   stdout, stderr   pipes of the command
#
# A watcher is two processes: one starts the command and waits for it; a subshell of its own group obeys the orders. Either
# one is enough to end the command's group, so a step that kills its parent gains nothing.
#
# The group of a sandbox is bwrap alone. It waits for the first process inside, a shell that waits for the command, which
# is in that shell's group and session. When that shell ends the kernel ends all that is inside, whatever it has done to
# leave its group, and bwrap ends after it: whoever has seen the end of bwrap has seen the end of the tree.

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

# The first process inside the sandbox; none before there is one.
inner() {
  local line
  [ -n "$sandbox" ] && IFS= read -r line <"$slot/status" && [[ $line =~ \"child-pid\":\ ([0-9]+) ]] && inner=${BASH_REMATCH[1]}
}

# True when the command has begun: when that first process has a child in its group.
inner_runs() {
  local file line
  for file in /proc/[0-9]*/stat; do
    line=
    IFS= read -r -d '' line <"$file"
    # shellcheck disable=SC2086
    set -- ${line##*) }
    if [ "${2-}" = "$inner" ] && [ "$3" = "$inner" ]; then return 0; fi
  done
  return 1
}

# SIGTERM for the command in a sandbox: bwrap would end at once, and all with it. The first process inside is deaf to it; a
# command that is about to begin is waited for, or it would never hear of the signal.
terminate_inner() {
  local inner round
  for ((round = 0; round < 50; round++)); do
    kill -0 "$group" || return 1
    if inner && inner_runs; then
      kill -TERM -- "-$inner"
      kill -CONT -- "-$inner"
      return 0
    fi
    sleep 0.02
  done
  kill -KILL -- "-$group"
}

# Returns when the group is empty, after two seconds at most. The signal is repeated for what was forked meanwhile. The
# group's number cannot have been given to others: as long as it has members, it is not free. From a sandbox bwrap is not
# taken away while it can still wait for what is inside.
end_group() {
  local round inner
  for ((round = 0; round < 100; round++)); do
    kill -0 -- "-$group" || return 0
    { ((round < 25)) && inner && kill -KILL "$inner"; } || kill -KILL -- "-$group" || return 0
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

# Serves the run that has just been announced, to its end. Answers 0 when it has killed the group and swept; when the
# watcher says `done` before that, 2 if the group was told to end, and 1 if not. Only that last one leaves all in order.
obey_for_run() {
  local left=$1 sandbox=$2 order seconds ordered=1
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
      # The command may have ended just before. A stopped process would see SIGTERM only after the grace.
      if [ -n "$sandbox" ]; then
        terminate_inner && ordered=2
      else
        kill -TERM -- "-$group" && ordered=2
        kill -CONT -- "-$group"
      fi
      ;;
    done)
      echo "$ordered" >&8
      return $((ordered - 1))
      ;;
    kill) break ;;
    esac
  done
  end_group
  sweep
  echo 0 >&8
  return 1
}

obey() {
  local order group marker left sandbox
  while read -r -u 3 order group marker left sandbox; do
    case $order in
    run) obey_for_run "$left" "$sandbox" || exit ;;
    # The command was never started.
    done) echo 1 >&8 ;;
    esac
  done
  exit
}

# The one that obeys must know of the command before the service does: where the service was gone before it could read of
# the start, there is nobody who reads, and the command ends before its first instruction; where it ended later, its word
# and the end of the orders come in this order.
announce() {
  local own=${BASHPID:-$(exec sh -c 'echo $PPID')}
  echo "run $own $marker $left ${sandbox[0]:+sandbox}" 9<>"$slot/orders" >&9 && echo "started $own $self" >&6
}

# Becomes the command. The script's variables may have the names of those here: once they are exported, nothing is used but
# the arguments.
become() {
  local sandbox=()
  trap - HUP INT PIPE TERM
  # All of it before the word that it has begun, with which the service empties the file.
  . ./request
  if ! cd -- "$1"; then
    echo 'failed cwd' >&6
    exit
  fi
  # Before the word, too: whoever obeys may read `status`, and what an earlier run has left there is gone.
  if [ -n "${sandbox[0]}" ]; then exec 7<"$slot/arguments" 8>"$slot/status"; fi
  announce || exit
  if [ -n "${sandbox[0]}" ]; then
    # Nothing of the script's variables: bwrap must not load or do what these say.
    exec -c "${sandbox[@]}" "$BASH" --norc --noprofile "$2" >&4 2>&5 3>&- 4>&- 5>&- 6>&-
    exit 127
  fi
  if (($# > 2)); then
    set -- /usr/bin/env -- "${@:3}" "$BASH" --norc --noprofile "$2"
  else
    set -- "$BASH" --norc --noprofile "$2"
  fi
  unset OLDPWD
  export "TURNPIKE_RUN=$marker" "${MAPFILE[@]}"
  exec "$@" >&4 2>&5 3>&- 4>&- 5>&- 6>&- 8>&-
}

watch() {
  local marker left self group control status answer forced sandbox='' slot=$PWD
  # To open one end of a named pipe blocks until the other end is open, forever if the service has died. Both ends at
  # once never block; closing that again leaves this shell with one end, and with an end of file if nobody has the other.
  # shellcheck disable=SC2094
  exec 7<>requests 3<requests 7<>orders 5<orders 7<>reports 6>reports 7<>answers 8<answers 9>answers 7>&- || exit
  self=${BASHPID:-$(exec sh -c 'echo $PPID')}
  # What is sent to all processes of a service at once is not for the watcher: the service decides what its end means for
  # the commands.
  trap '' HUP INT PIPE TERM
  # Job control gives each background job its process group.
  set -m
  # It holds the orders from the start, or what is written there could get lost. The end of the reports is the watcher's
  # end: nobody else may hold that pipe open.
  obey 3<&5 8>&9 5<&- 6>&- 9>&- &
  control=$!
  exec 5<&- 9>&-
  set +m

  while read -r -u 3 marker left; do
    exec 7<>stdout 4>stdout 7<>stderr 5>stderr 7>&- || exit
    # Not for longer: a wait would return when the command is only stopped.
    set -m
    become &
    group=$!
    set +m
    exec 4>&- 5>&-

    # A signal interrupts no wait here, and no trap runs during one: both make bash 5.2 lose the status now and then, a
    # trap for CHLD even corrupts its heap. What bash says about a death by signal is the only way to tell it from an exit.
    wait "$group" 2>&6
    status=$?
    while kill -0 "$group"; do
      wait "$group"
      status=$?
    done

    # Without the slot, most likely without the service, the subshell may be at any point.
    if [ -p "$slot/orders" ]; then echo 'done' 7<>"$slot/orders" >&7; else kill -KILL "$control"; fi
    read -r -u 8 answer || answer=none
    forced=
    case $answer in
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
    echo "ended $status $forced" >&6
    [ "$answer" = 1 ] || exit
  done
  exit
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
