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

type Mount = readonly [path: string, ...args: string[]];

/** Bubblewrap's arguments for all that every step sees of the file system: the system and the binds, all else is not there. */
export function viewArguments(places: SandboxPlaces): string[] {
  const { binds } = places;
  const system = SYSTEM_PATHS.filter((path) => !binds.some((bind) => bind.path === path));
  const mounts: Mount[] = [
    ...system.flatMap(systemMount),
    ...binds.map(({ path, writable }): Mount => [path, writable ? '--bind' : '--ro-bind', path, path]),
    ...masks(places),
  ];
  // From above to below: what is mounted on a folder later covers what is in it.
  mounts.sort(([a], [b]) => depth(a) - depth(b));
  return mounts.flatMap(([, ...args]) => args);
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
      if (!binds.some((bind) => bind.path === place)) covers.set(place, [place, ...cover, place]);
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
    if (isLink && SYSTEM.includes(path)) return [[path, '--symlink', readlinkSync(path), path]];
  } catch {
    return [];
  }
  return [[path, '--ro-bind-try', path, path]];
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
