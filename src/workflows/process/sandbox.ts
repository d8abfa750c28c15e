import { accessSync, constants, mkdirSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { Bubblewrap, type StepNetwork } from './bubblewrap.js';
import { isIn, realPath, type SandboxBind } from './sandbox-view.js';
import { findBash, slotsDirectory } from './watcher-host.js';

/** How steps run here, in words for operators. */
export interface SandboxState {
  readonly mode: 'bubblewrap' | 'off';
  /** Why it is so. */
  readonly reason: string;
}

export interface StepSandbox extends SandboxState {
  /** Only with bubblewrap. */
  readonly bubblewrap?: Bubblewrap;
  /** What a step has that does not say. */
  readonly network: StepNetwork;
  /** Why a step cannot be without the network; undefined where it can. */
  readonly networkProblem?: string;
}

export interface SandboxOptions {
  readonly wanted: 'auto' | 'bubblewrap' | 'off';
  readonly network: StepNetwork;
  readonly binds: readonly SandboxBind[];
  readonly maxProcesses: number;
  readonly dataDir: string;
  readonly workspacesDir: string;
  /** Files and folders that the service reads and no step may, by the setting that names them. */
  readonly closed: Readonly<Record<string, string>>;
  /** Where bwrap is looked for. Not on the PATH: what stands there first may be anybody's. */
  readonly programs?: readonly string[];
}

/** What the operator asks for cannot be had; the message says what to do. */
export class SandboxError extends Error {}

const PROGRAM_PLACES = ['/usr/bin/bwrap', '/bin/bwrap', '/usr/local/bin/bwrap', '/run/current-system/sw/bin/bwrap'];
const OFF_FIX = 'set STEP_SANDBOX=off if steps may see all that the service sees';

/** Tries once whether a sandbox works here. Throws a SandboxError where there is none and one is a must. */
export async function openSandbox(options: SandboxOptions): Promise<StepSandbox> {
  const { wanted, network } = options;
  checkBinds(options);
  const found: Found = wanted === 'off' ? { problem: 'STEP_SANDBOX is off' } : await findSandbox(options);
  if (!('bubblewrap' in found)) {
    const { problem } = found;
    if (wanted === 'bubblewrap') throw new SandboxError(`STEP_SANDBOX is 'bubblewrap', but ${problem}; or ${OFF_FIX}`);
    if (network === 'none') {
      throw new SandboxError(`STEP_NETWORK is 'none', which needs a sandbox, but ${problem}; or set STEP_NETWORK=host`);
    }
    return { mode: 'off', reason: problem, network, networkProblem: problem };
  }
  const { networkProblem } = found;
  if (network === 'none' && networkProblem !== undefined) {
    throw new SandboxError(`STEP_NETWORK is 'none', but ${networkProblem}; set STEP_NETWORK=host`);
  }
  return { mode: 'bubblewrap', reason: 'it was tried at the start, and works', network, ...found };
}

type Found = { readonly problem: string } | { readonly bubblewrap: Bubblewrap; readonly networkProblem?: string };

async function findSandbox(options: SandboxOptions): Promise<Found> {
  const program = (options.programs ?? PROGRAM_PLACES).find(isExecutable);
  if (program === undefined) {
    return { problem: 'bubblewrap is not installed (apt-get install bubblewrap, or the like)' };
  }
  const { binds, maxProcesses, dataDir, workspacesDir, closed } = options;
  // What is not there yet cannot be hidden.
  mkdirSync(workspacesDir, { recursive: true, mode: 0o700 });
  const home = homedir();
  const hidden = [
    ...[dataDir, workspacesDir, ...Object.values(closed), slotsDirectory()],
    ...[process.cwd(), '/root', '/home', '/var/lib/turnpike'],
    // Users of services have their homes anywhere, some where the programs are.
    ...(home.startsWith('/usr/') ? [] : [home]),
  ];
  const bubblewrap = new Bubblewrap(
    program,
    { binds, hidden, home: homeInPasswd() },
    process.getuid?.() === 0 ? 0 : maxProcesses,
  );
  try {
    await bubblewrap.probe(findBash(), 'host');
  } catch (error) {
    const said = (error as Error).message;
    return { problem: `bubblewrap does not work here (${said}): see docs/sandbox.md for what it needs` };
  }
  const networkProblem = await bubblewrap.probe(findBash(), 'none').then(
    () => undefined,
    (error: Error) => `the network cannot be taken from steps here (${error.message})`,
  );
  return { bubblewrap, ...(networkProblem === undefined ? {} : { networkProblem }) };
}

/** What would open what is to be closed. */
function checkBinds({ binds, dataDir, workspacesDir, closed }: SandboxOptions): void {
  const slots = realPath(slotsDirectory());
  for (const { path } of binds) {
    const real = realPath(path);
    if ([dataDir, workspacesDir].some((folder) => realPath(folder) === real)) {
      throw new SandboxError(`STEP_SANDBOX_BIND has ${path}, where the service keeps its own: name a folder below it`);
    }
    const [setting, place] = Object.entries(closed).find(([, own]) => isIn(realPath(own), real)) ?? [];
    if (setting !== undefined) {
      throw new SandboxError(
        `STEP_SANDBOX_BIND has ${path}, and ${setting} is ${place}: no step may read that, take the bind out`,
      );
    }
    if (isIn(real, slots)) {
      throw new SandboxError(
        `STEP_SANDBOX_BIND has ${path}, and in ${slots} are the scripts of all steps: name a folder below, or set TMPDIR`,
      );
    }
    if (!isThere(path)) {
      throw new SandboxError(`STEP_SANDBOX_BIND has ${path}, which is not there: make it, or take it out`);
    }
  }
}

/** HOME may say another; programs that write `~user` go by this one. */
function homeInPasswd(): string | undefined {
  try {
    return userInfo().homedir;
  } catch {
    return undefined; // containers with any uid
  }
}

function isExecutable(path: string): boolean {
  return isThere(path, constants.X_OK);
}

function isThere(path: string, mode: number = constants.F_OK): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
