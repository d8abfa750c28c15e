import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { resolve, sep } from 'node:path';

/** A file or folder of this machine that steps get to see, at its own place. */
export interface SandboxBind {
  /** Absolute. */
  readonly path: string;
  readonly writable: boolean;
}

export interface SandboxPlaces {
  /** What the operator gives to steps. */
  readonly binds: readonly SandboxBind[];
  /** Folders whose content is nobody's business, wherever they are. */
  readonly hidden: readonly string[];
  /** Of the service's user: steps have an empty one in its place, since programs write there whatever HOME says. */
  readonly home?: string | undefined;
}

/** Programs and their libraries. */
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/opt', '/nix/store', '/gnu/store'];

/**
 * What programs cannot do without. Not all of /etc: services have their passwords there, and a step of root's is the owner
 * of what only its owner may read.
 */
const ETC = [
  ...['passwd', 'group', 'nsswitch.conf', 'hosts', 'host.conf', 'resolv.conf', 'gai.conf', 'services', 'protocols'],
  ...['ssl/certs', 'ssl/openssl.cnf', 'ca-certificates', 'pki/tls', 'pki/ca-trust', 'crypto-policies'],
  ...['ld.so.cache', 'alternatives', 'localtime', 'timezone', 'os-release', 'mime.types', 'magic'],
  ...['gitconfig', 'ssh/ssh_config', 'ssh/ssh_config.d', 'ssh/ssh_known_hosts', 'ansible', 'python3', 'perl'],
].map((name) => `/etc/${name}`);

/** SUSE keeps there what /etc/ssl/certs points to; NixOS has its programs there. */
const OTHERS = ['/var/lib/ca-certificates', '/run/current-system'];

/** In memory, and so not without end; TMPDIR is on the disk. */
export const IN_MEMORY = ['--size', String(256 * 1024 * 1024), '--tmpfs'];

interface Mount {
  readonly path: string;
  readonly args: readonly string[];
  /** Whether what is below it is the machine's own. */
  readonly shown: boolean;
}

/** What every step sees of the file system: the system and the binds; all else is not there. */
export class SandboxView {
  private readonly mounts: readonly Mount[];

  constructor(places: SandboxPlaces) {
    const { binds } = places;
    const home = homeOf(places);
    const system = [...SYSTEM, ...ETC, ...OTHERS].filter((path) => !binds.some((bind) => bind.path === path));
    this.mounts = [
      ...system.flatMap(systemMount),
      ...binds.map(({ path, writable }) => ({
        ...{ path, args: [writable ? '--bind' : '--ro-bind', path, path], shown: true },
      })),
      ...hiddenFolders(places)
        .filter((path) => path !== home)
        .map((path) => ({ path, args: ['--tmpfs', path], shown: false })),
      ...(home === undefined ? [] : [{ path: home, args: ['--perms', '0700', ...IN_MEMORY, home], shown: false }]),
      // From above to below: what is mounted on a folder later covers what is in it.
    ].sort((a, b) => depth(a.path) - depth(b.path));
  }

  /** Bubblewrap's. */
  get arguments(): string[] {
    return this.mounts.flatMap(({ args }) => args);
  }

  /** Whether a step finds this file, by the name it has here: both that and what a link leads to must be there. */
  shows(file: string): boolean {
    return [file, realPath(file)].every(
      (path) => this.mounts.findLast((mount) => isIn(mount.path, path) || isIn(realPath(mount.path), path))?.shown,
    );
  }
}

/** Some users of services have their homes among the programs, or none: these stay as they are. */
function homeOf({ home, binds }: SandboxPlaces): string | undefined {
  if (home === undefined || home === '/' || binds.some(({ path }) => path === home)) return undefined;
  const taken = [...SYSTEM, ...OTHERS, '/etc', '/proc', '/dev', '/tmp', '/run/turnpike'];
  return taken.some((above) => isIn(above, home) || isIn(above, realPath(home))) ? undefined : home;
}

/** Those that would be seen otherwise, by their real paths. */
function hiddenFolders({ binds, hidden }: SandboxPlaces): string[] {
  const shown = [...SYSTEM, ...ETC, ...OTHERS, ...binds.map(({ path }) => path)].map(realPath);
  const folders = new Set(hidden.map(realPath).filter((path) => existsSync(path)));
  return [...folders].filter((path) => shown.some((above) => path !== above && isIn(above, path)));
}

/** As it is here: where /bin is a link to /usr/bin, it is one inside. */
function systemMount(path: string): Mount[] {
  try {
    const isLink = lstatSync(path).isSymbolicLink();
    if (isLink && SYSTEM.includes(path)) return [{ path, args: ['--symlink', readlinkSync(path), path], shown: true }];
  } catch {
    return [];
  }
  return [{ path, args: ['--ro-bind-try', path, path], shown: true }];
}

function isIn(folder: string, path: string): boolean {
  return path === folder || folder === '/' || path.startsWith(folder + sep);
}

function depth(path: string): number {
  return path.split(sep).length;
}

export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}
