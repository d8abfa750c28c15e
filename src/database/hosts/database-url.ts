/** One of the servers that may be the primary. */
export interface DatabaseHost {
  readonly host: string;
  readonly port: number;
}

export interface DatabaseAddress {
  /** The address with one host only, as `pg` reads it. */
  readonly url: string;
  /** Those among which the primary is looked for; empty where the address names one host and asks for nothing of it. */
  readonly hosts: readonly DatabaseHost[];
  /** How long a host may take to answer. */
  readonly connectTimeoutMs: number;
}

/** What is wrong with an address, to be read after "DATABASE_URL: it". Says nothing of user and password. */
export class DatabaseUrlError extends Error {}

const SCHEME = /^(postgres(?:ql)?:\/\/)(?=\S+$)([^/?#]*)([^?#]*)(?:\?([^#]*))?/;
const DEFAULT_PORT = 5432;
const DEFAULT_TIMEOUT_MS = 2_000;
/** What this code looks after itself; all else is for `pg`. */
const OWN_PARAMETERS = ['host', 'port', 'target_session_attrs', 'load_balance_hosts', 'connect_timeout'];
const WRITES = ['read-write', 'primary'];

/**
 * Reads an address as libpq does: hosts divided by commas, each with a port of its own or none, in their place or as the
 * parameters `host` and `port`. One host without `target_session_attrs` is left to `pg` as it stands.
 */
export function readDatabaseUrl(text: string): DatabaseAddress {
  const [, scheme, authority, path, query = ''] = SCHEME.exec(text) ?? [];
  if (scheme === undefined) throw new DatabaseUrlError('must look like postgres://user:password@host:5432/database');
  const at = authority!.lastIndexOf('@') + 1;
  const parameters = new URLSearchParams(query);
  const hosts = readHosts(authority!.slice(at), parameters);
  const attributes = parameters.get('target_session_attrs');
  const connectTimeoutMs = readTimeout(parameters);
  if (hosts.length === 1 && (attributes === null || attributes === 'any')) {
    return { url: text, hosts: [], connectTimeoutMs };
  }
  if (attributes !== null && !WRITES.includes(attributes)) {
    throw new DatabaseUrlError(
      `asks for target_session_attrs=${attributes}, but the queue writes: it must be read-write, primary, or left out`,
    );
  }
  for (const name of OWN_PARAMETERS) parameters.delete(name);
  const rest = parameters.size === 0 ? '' : `?${parameters.toString()}`;
  const url = `${scheme}${authority!.slice(0, at)}${inUrl(hosts[0]!)}${path || '/'}${rest}`;
  return { url, hosts, connectTimeoutMs };
}

function readHosts(place: string, parameters: URLSearchParams): DatabaseHost[] {
  const named = (parameters.get('host') ?? place).split(',');
  const ports = (parameters.get('port') ?? '').split(',');
  if (ports.length !== 1 && ports.length !== named.length) {
    throw new DatabaseUrlError(`names ${named.length} hosts and ${ports.length} ports: give one port, or one for each`);
  }
  return named.map((part, n) => {
    // An address of IPv6 stands in brackets; a folder of a Unix socket has its slashes encoded, or is a parameter.
    const [, bracketed, plain, ownPort] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/.exec(part) ?? [];
    const host = (bracketed ?? decoded(plain ?? '')) || (named.length > 1 ? '' : 'localhost');
    const port = ownPort || ports[n] || ports[0] || String(DEFAULT_PORT);
    // Not shown: with an unescaped "/" in the password a part of it would stand here.
    if (named.length > 1 && host === '') throw new DatabaseUrlError(`has no name for host ${n + 1} of ${named.length}`);
    if (named.length > 1 && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
      throw new DatabaseUrlError(`has a port for host ${n + 1} of ${named.length} that is no number from 1 to 65535`);
    }
    return { host, port: Number(port) };
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new DatabaseUrlError('has a "%" in the name of a host that is no percent-encoding');
  }
}

/** libpq counts in seconds, and takes 0 for no limit, which has no place here. */
function readTimeout(parameters: URLSearchParams): number {
  const seconds = Number(parameters.get('connect_timeout') ?? 0);
  return seconds > 0 && seconds <= 60 ? seconds * 1_000 : DEFAULT_TIMEOUT_MS;
}

function inUrl({ host, port }: DatabaseHost): string {
  return `${host.includes(':') ? `[${host}]` : encodeURIComponent(host)}:${port}`;
}

export const hostName = ({ host, port }: DatabaseHost): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
