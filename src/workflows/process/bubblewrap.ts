import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { IN_MEMORY, realPath, type SandboxPlaces, SandboxView } from './sandbox-view.js';

const run = promisify(execFile);

export type StepNetwork = 'host' | 'none';

/** What one run in a sandbox has of its own. */
export interface SandboxedRun {
  /** Folders that it may change: absolute paths, which it finds at the same places. */
  readonly writable: readonly string[];
  readonly network: StepNetwork;
}

/** How the watcher starts a script's shell. */
export interface SandboxCommand {
  /** To be followed by the shell's own command line. It holds nothing secret: any user of the machine can read it. */
  readonly command: readonly string[];
  /** What bwrap reads besides; the environment and the script's place are still to be added. */
  readonly args: readonly string[];
}

/** Where the script is inside. */
export const SCRIPT_INSIDE = '/run/turnpike/step.sh';
/** What the first process reads where there is something that it must tell the script, and not be told itself. */
const OTHERS_INSIDE = '/run/turnpike/others';

/** A process tree, a name, and so on of its own; and no rights of root's. */
const APART = [
  ...['--unshare-user-try', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
  ...['--die-with-parent', '--new-session', '--as-pid-1', '--cap-drop', 'ALL'],
];

/**
 * Not the running system's. The kernel lets root change its settings in /proc/sys even without any rights, and bwrap does
 * not see that; `--dev` is a tmpfs without a limit: nothing may be written in either.
 */
const FRESH = [
  ...[
    '--proc',
    '/proc',
    '--remount-ro',
    '/proc',
    '--dev',
    '/dev',
    '--perms',
    '1777',
    ...IN_MEMORY,
    '/dev/shm',
    '--remount-ro',
    '/dev',
  ],
  ...['--perms', '1777', ...IN_MEMORY, '/tmp', '--symlink', '/tmp', '/var/tmp'],
];

/**
 * The first process inside: all else ends with it. It must not become the script, which as the first process of its tree
 * would be deaf to SIGTERM. The subshell becomes it, with the redirections: what this shell says of the script's end is no
 * output of the step.
 */
const INIT = 'exec 3>&2 2>/dev/null; [ ! -e "$0" ] || . "$0"; ("$@" 2>&3 3>&-); exit $?';
const READ_ARGUMENTS = 7;
const WRITE_STATUS = 8;

/** Runs scripts with bubblewrap: each sees the system read-only, its own folders, and nothing of anybody else. */
export class Bubblewrap {
  /** What each of them sees besides its own folders. */
  readonly view: SandboxView;

  constructor(
    private readonly program: string,
    places: SandboxPlaces,
    /** Processes of one run; not counted for root. */
    private readonly maxProcesses = 0,
  ) {
    this.view = new SandboxView(places);
  }

  command(run: SandboxedRun): SandboxCommand {
    const io = ['--args', String(READ_ARGUMENTS), '--json-status-fd', String(WRITE_STATUS)];
    return { command: [this.program, ...io, '--', ...this.init()], args: this.arguments(run) };
  }

  /** Really runs something; throws with bwrap's own words where that does not work here. */
  async probe(bash: string, network: StepNetwork): Promise<void> {
    const args = [...this.arguments({ writable: [], network }), '--clearenv', '--', ...this.init()];
    try {
      await run(this.program, [...args, bash, '--norc', '--noprofile', '-c', 'echo $$ >/dev/null'], {
        cwd: '/',
        env: {},
        timeout: 20_000,
        killSignal: 'SIGKILL',
      });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      throw new Error(stderr?.trim().split('\n').at(-1) || message.split('\n')[0], { cause: error });
    }
  }

  private arguments({ writable, network }: SandboxedRun): string[] {
    // A step's own programs may go by the real path where the given one leads through a link.
    const folders = new Set(writable.flatMap((path) => [path, realPath(path)]));
    return [
      ...APART,
      ...(network === 'none' ? ['--unshare-net'] : []),
      ...FRESH,
      ...this.view.arguments,
      ...[...folders].flatMap((path) => ['--bind', path, path]),
    ];
  }

  private init(): string[] {
    // Inside, where a user namespace counts its own processes only; in dash the letter is another.
    const limit = `{ ulimit -u ${this.maxProcesses} || ulimit -p ${this.maxProcesses}; } 2>/dev/null; `;
    return ['/bin/sh', '-c', `${this.maxProcesses > 0 ? limit : ''}${INIT}`, OTHERS_INSIDE];
  }
}

export interface ScriptInside {
  /** The place of the script outside. */
  readonly script: string;
  /** Of a file that makes a shell start its command with further variables; undefined where there are none. */
  readonly others: string | undefined;
  readonly cwd: string;
  /** NAME=value, each. */
  readonly env: readonly string[];
}

/** The rest of the arguments: the script, where it runs, and its environment. */
export function scriptArguments({ script, others, cwd, env }: ScriptInside): string[] {
  return [
    ...['--ro-bind', script, SCRIPT_INSIDE],
    ...(others === undefined ? [] : ['--ro-bind', others, OTHERS_INSIDE]),
    // Last of all mounts: what they are mounted on has to be made first.
    ...['--remount-ro', '/', '--chdir', cwd, '--clearenv'],
    ...env.flatMap((entry) => {
      const end = entry.indexOf('=');
      return ['--setenv', entry.slice(0, end), entry.slice(end + 1)];
    }),
  ];
}
