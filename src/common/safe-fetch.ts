import { lookup } from 'node:dns/promises';
import type { LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector, type Dispatcher, request } from 'undici';
import { type Network, refusalOf } from './net-addresses.js';

export interface SafeRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For all of it: names, redirects and the body. */
  readonly timeoutMs: number;
  /** Bytes of the body that are kept; the rest is not read. */
  readonly maxBytes: number;
  /**
   * With it the answer counts as soon as its head is there: the body is what comes in this time, and what keeps it from
   * coming is no failure.
   */
  readonly bodyMs?: number;
  /** None is followed unless given: the redirect is the answer. */
  readonly maxRedirects?: number;
  readonly signal?: AbortSignal;
}

export interface SafeResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** There was more of it than `maxBytes`, or than came in `bodyMs`. */
  readonly truncated: boolean;
  /** After redirects. */
  readonly url: string;
}

/** A request that got no answer; its message is a sentence for whoever wrote the address. */
export class SafeFetchError extends Error {
  /** `refused`: the address must not be called, now or later. */
  constructor(
    message: string,
    readonly reason: 'refused' | 'timeout' | 'aborted' | 'network',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * HTTP requests to addresses that users name. Only public addresses are called, and those in `allowed`: what a name
 * resolves to is checked and then connected to, so that no second answer of the name server can slip in between; each
 * redirect is a new request with the same checks. No proxy, no cookies, nothing of the environment is used.
 */
export class SafeFetch {
  private readonly agent: Agent;

  /** `resolveName` answers with all addresses of a name. */
  constructor(
    private readonly allowed: readonly Network[] = [],
    private readonly resolveName = (name: string): Promise<LookupAddress[]> => lookup(name, { all: true }),
  ) {
    const connect = buildConnector({ lookup: this.lookup });
    this.agent = new Agent({
      connect: (options, callback) => {
        // For an address in the URL nothing is looked up.
        const host = options.hostname.replace(/^\[|\]$/g, '');
        const error = isIP(host) === 0 ? undefined : this.refuse(host, host);
        if (error) callback(error, null);
        else connect(options, callback);
      },
      // `timeoutMs` counts instead.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** Rejects with a SafeFetchError. */
  async fetch(address: string, options: SafeRequest): Promise<SafeResponse> {
    const limit = AbortSignal.timeout(options.timeoutMs);
    const signal = AbortSignal.any(options.signal ? [limit, options.signal] : [limit]);
    let call: Call = {
      url: checkedUrl(address),
      method: options.method ?? 'GET',
      headers: options.headers ?? {},
      ...(options.body === undefined ? {} : { body: options.body }),
    };
    const { maxRedirects = 0 } = options;
    try {
      for (let redirects = 0; ; redirects++) {
        const answer = await request(call.url, {
          method: call.method,
          headers: call.headers,
          body: call.body ?? null,
          dispatcher: this.agent,
          signal,
        });
        const target = answer.headers.location;
        if (maxRedirects === 0 || !REDIRECTS.includes(answer.statusCode) || typeof target !== 'string') {
          const { body, truncated } = await readBody(answer.body, options);
          return { status: answer.statusCode, headers: answer.headers, body, truncated, url: call.url.href };
        }
        answer.body.on('error', () => {}).destroy();
        if (redirects >= maxRedirects) {
          const { origin } = checkedUrl(target, call.url);
          throw new SafeFetchError(`more than ${maxRedirects} redirects, the last one to ${origin}`, 'network');
        }
        call = redirected(call, answer.statusCode, target);
      }
    } catch (error) {
      throw explain(error, call.url, options, limit);
    }
  }

  /** Whether the address could be called now, as far as that can be told without calling it. Rejects with a SafeFetchError. */
  async check(address: string): Promise<void> {
    const url = checkedUrl(address);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const refused = isIP(host) === 0 ? undefined : this.refuse(host, host);
    if (refused) throw refused;
    if (isIP(host) !== 0) return;
    try {
      await this.resolve(host);
    } catch (error) {
      throw error instanceof SafeFetchError ? error : unreachable(url, error);
    }
  }

  /** Ends all connections. In the last phase of a shutdown: until then others may still wait for answers. */
  async onApplicationShutdown(): Promise<void> {
    await this.agent.destroy();
  }

  private readonly lookup: LookupFunction = (hostname, options, callback) => {
    void this.resolve(hostname).then(
      (addresses) => {
        if (options.all) callback(null, addresses);
        else callback(null, addresses[0]!.address, addresses[0]!.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };

  /** The addresses of a name that may be called; one at least. */
  private async resolve(hostname: string): Promise<LookupAddress[]> {
    const addresses = await this.resolveName(hostname);
    const good = addresses.filter(({ address }) => refusalOf(address, this.allowed) === undefined);
    if (good.length > 0) return good;
    throw this.refuse(hostname, addresses[0]!.address)!;
  }

  private refuse(host: string, address: string): SafeFetchError | undefined {
    const why = refusalOf(address, this.allowed);
    if (why === undefined) return undefined;
    const what = host === address ? `${host} is ${why}` : `'${host}' is ${address}, ${why}`;
    const message = `${what}, which this service does not call; its operator can add it to OUTBOUND_ALLOWED_CIDRS`;
    return new SafeFetchError(message, 'refused');
  }
}

interface Call {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Without the address itself: it may hold a secret, and this goes into logs. */
const NO_ADDRESS = 'it is no address such as https://host/path';

function checkedUrl(address: string, base?: URL): URL {
  if (!URL.canParse(address, base?.href)) throw new SafeFetchError(NO_ADDRESS, 'refused');
  const url = new URL(address, base);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new SafeFetchError(`'${url.protocol}' is not called, only http: and https:`, 'refused');
  }
  if (url.username !== '' || url.password !== '') {
    throw new SafeFetchError(
      'a user name or password in an address is not sent: use the header Authorization',
      'refused',
    );
  }
  return url;
}

/** The request that follows; to another origin it carries nothing that the first one was trusted with. */
function redirected(call: Call, status: number, target: string): Call {
  const url = checkedUrl(target, call.url);
  if (call.url.protocol === 'https:' && url.protocol === 'http:') {
    throw new SafeFetchError(`a redirect leads from https to ${url.origin}, which is not encrypted`, 'refused');
  }
  const same = url.origin === call.url.origin;
  // As browsers do it.
  const withoutBody = status === 303 || (status < 303 && call.method === 'POST');
  if (call.body !== undefined && !withoutBody && !same) {
    const message = `a redirect leads to ${url.origin}, to which the body is not sent: name that address yourself`;
    throw new SafeFetchError(message, 'refused');
  }
  const headers = Object.entries(call.headers).filter(([name]) => {
    const lower = name.toLowerCase();
    return same ? !(withoutBody && lower.startsWith('content-')) : HARMLESS.has(lower);
  });
  const method = withoutBody && call.method !== 'HEAD' ? 'GET' : call.method;
  const body = withoutBody || call.body === undefined ? {} : { body: call.body };
  return { url, method, headers: Object.fromEntries(headers), ...body };
}

const REDIRECTS = [301, 302, 303, 307, 308];
const HARMLESS = new Set(['accept', 'accept-language', 'user-agent']);

async function readBody(stream: Dispatcher.ResponseData['body'], { maxBytes, bodyMs }: SafeRequest) {
  const chunks: Buffer[] = [];
  let length = 0;
  let broken = false;
  const timer = bodyMs === undefined ? undefined : setTimeout(() => stream.destroy(), bodyMs);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      // Leaving the loop destroys the stream, and its connection with it.
      if (length > maxBytes) break;
    }
  } catch (error) {
    if (bodyMs === undefined) throw error;
    broken = true;
  } finally {
    clearTimeout(timer);
  }
  return { body: Buffer.concat(chunks).subarray(0, maxBytes), truncated: broken || length > maxBytes };
}

function explain(error: unknown, { origin }: URL, { timeoutMs, signal }: SafeRequest, limit: AbortSignal): Error {
  if (error instanceof SafeFetchError) return error;
  if (signal?.aborted) return new SafeFetchError(`the request to ${origin} was stopped`, 'aborted', { cause: error });
  if (limit.aborted) {
    return new SafeFetchError(`${origin} did not answer within ${timeoutMs / 1000} s`, 'timeout', { cause: error });
  }
  return unreachable({ origin }, error);
}

function unreachable({ origin }: Pick<URL, 'origin'>, error: unknown): SafeFetchError {
  const { code, message } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : FAILURES[code];
  return new SafeFetchError(`${origin} cannot be reached: ${known ?? message}`, 'network', { cause: error });
}

const FAILURES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name server does not answer',
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  UND_ERR_SOCKET: 'the connection was closed',
};
