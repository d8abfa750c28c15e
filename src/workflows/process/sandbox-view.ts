import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

/** A file or folder of this machine that steps get to see, at its own place. */
export interface SandboxBind {
  /** Absolute. */
  readonly path: string;
  readonly writable: boolean;
}

export interface SandboxPlaces {
  /** What the operator gives to steps. */
  readonly binds: readonly SandboxBind[];
  /** Folders and files whose content is nobody's business, wherever they are. */
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
  ...['ssl/certs', 'ssl/openssl.cnf', 'ca-certificates', 'pki/ca-trust', 'crypto-policies'],
  ...['pki/tls/certs', 'pki/tls/cert.pem', 'pki/tls/openssl.cnf'],
  ...['ld.so.cache', 'alternatives', 'localtime', 'timezone', 'os-release', 'mime.types', 'magic'],
  ...['gitconfig', 'ssh/ssh_config', 'ssh/ssh_config.d', 'ssh/ssh_known_hosts', 'ansible', 'python3', 'perl'],
].map((name) => `/etc/${name}`);

/** SUSE keeps there what /etc/ssl/certs points to; NixOS has its programs there. */
const OTHERS = ['/var/lib/ca-certificates', '/run/current-system'];

/** All that is shown of the machine, where it is there. */
export const SYSTEM_PATHS: readonly string[] = [...SYSTEM, ...ETC, ...OTHERS];

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
    const system = SYSTEM_PATHS.filter((path) => !binds.some((bind) => bind.path === path));
    this.mounts = [
      ...system.flatMap(systemMount),
      ...binds.map(({ path, writable }) => ({
        ...{ path, args: [writable ? '--bind' : '--ro-bind', path, path], shown: true },
      })),
      ...masks(places).filter(({ path }) => path !== home),
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

/** What covers the hidden where it would be seen: a bind that is a link shows it at another place than its own. */
function masks({ binds, hidden }: SandboxPlaces): Mount[] {
  const shown = [...SYSTEM_PATHS, ...binds.map(({ path }) => path)].map((at) => ({ at, real: realPath(at) }));
  const covers = new Map<string, Mount>();
  for (const path of new Set(hidden.map(realPath))) {
    const cover = coverOf(path);
    if (cover === undefined) continue;
    for (const { at, real } of shown) {
      if (path === real || !isIn(real, path)) continue;
      // Links among the system's own folders are links inside too.
      const place = SYSTEM.includes(at) ? path : join(at, relative(real, path));
      // What is bound itself is wanted.
      if (!binds.some((bind) => bind.path === place)) {
        covers.set(place, { path: place, args: [...cover, place], shown: false });
      }
    }
  }
  return [...covers.values()];
}

/** undefined where there is nothing to hide. */
function coverOf(path: string): readonly string[] | undefined {
  try {
    // Of a device that is bound so, nothing can be read.
    return statSync(path).isDirectory() ? ['--tmpfs'] : ['--ro-bind', '/dev/null'];
  } catch {
    return undefined;
  }
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

export function isIn(folder: string, path: string): boolean {
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
