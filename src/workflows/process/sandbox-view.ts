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

type Mount = readonly [path: string, ...args: string[]];

/** Bubblewrap's arguments for all that every step sees of the file system: the system and the binds, all else is not there. */
export function viewArguments(places: SandboxPlaces): string[] {
  const { binds } = places;
  const system = [...SYSTEM, ...ETC, ...OTHERS].filter((path) => !binds.some((bind) => bind.path === path));
  const mounts: Mount[] = [
    ...system.flatMap(systemMount),
    ...binds.map(({ path, writable }): Mount => [path, writable ? '--bind' : '--ro-bind', path, path]),
    ...hiddenFolders(places).map((path): Mount => [path, '--tmpfs', path]),
  ];
  // From above to below: what is mounted on a folder later covers what is in it.
  mounts.sort(([a], [b]) => depth(a) - depth(b));
  return mounts.flatMap(([, ...args]) => args);
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
    if (isLink && SYSTEM.includes(path)) return [[path, '--symlink', readlinkSync(path), path]];
  } catch {
    return [];
  }
  return [[path, '--ro-bind-try', path, path]];
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
