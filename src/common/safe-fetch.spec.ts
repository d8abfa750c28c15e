import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseNetworks } from './net-addresses.js';
import { SafeFetch, SafeFetchError, type SafeRequest } from './safe-fetch.js';

describe('SafeFetch', () => {
  let server: Server;
  let port: number;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let seen: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[];
  const open: SafeFetch[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        seen.push({ method: request.method!, url: request.url!, headers: request.headers, body });
        answer(request, response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  beforeEach(() => {
    seen = [];
    answer = (_request, response) => response.end('hello');
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((fetcher) => fetcher.onApplicationShutdown()));
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  /** A client that may call this machine, and finds it under every name. */
  function local(names: Record<string, string> = {}, networks = '127.0.0.0/8'): SafeFetch {
    const resolve = async (name: string) => [{ address: names[name] ?? '127.0.0.1', family: 4 }];
    const fetcher = new SafeFetch(parseNetworks(networks), resolve);
    open.push(fetcher);
    return fetcher;
  }

  const LIMITS: SafeRequest = { timeoutMs: 30_000, maxBytes: 1000 };

  async function refusal(promise: Promise<unknown>): Promise<SafeFetchError> {
    const error: unknown = await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(SafeFetchError);
    return error as SafeFetchError;
  }

  it('sends method, headers and body', async () => {
    const { status, body, truncated, url } = await local().fetch(`http://one.test:${port}/a?b=c`, {
      ...LIMITS,
      method: 'PUT',
      headers: { 'X-Key': 'k' },
      body: 'text',
    });
    expect({ status, body: body.toString(), truncated, url }).toEqual({
      status: 200,
      body: 'hello',
      truncated: false,
      url: `http://one.test:${port}/a?b=c`,
    });
    expect(seen).toMatchObject([
      { method: 'PUT', url: '/a?b=c', body: 'text', headers: { 'x-key': 'k', host: `one.test:${port}` } },
    ]);
  });

  it.each([
    'http://127.0.0.1:PORT/',
    'http://0x7f.1:PORT/',
    'http://2130706433:PORT/',
    'http://[::1]:PORT/',
    'http://[::ffff:127.0.0.1]:PORT/',
    'http://[::ffff:7f00:1]:PORT/',
    'http://[::ffff:169.254.169.254]/',
    'http://[fd00:ec2::254]/latest/meta-data/',
    'http://[fe80::1]:PORT/',
    'http://[::]:PORT/',
    'http://[64:ff9b::127.0.0.1]:PORT/',
    'http://0.0.0.0:PORT/',
    'http://0:PORT/',
    'http://127.1:PORT/',
    'http://0177.0.0.1:PORT/',
    'http://100.100.100.200/latest/meta-data/',
    'http://169.254.169.254/latest/meta-data/',
    'http://localhost:PORT/',
  ])('does not call %s', async (address) => {
    const fetcher = new SafeFetch();
    open.push(fetcher);
    const error = await refusal(fetcher.fetch(address.replace('PORT', String(port)), LIMITS));
    expect(error.reason).toBe('refused');
    expect((await refusal(fetcher.check(address.replace('PORT', String(port))))).message).toBe(error.message);
    expect(error.message).toContain(
      'which this service does not call; its operator can add it to OUTBOUND_ALLOWED_CIDRS',
    );
    expect(seen).toEqual([]);
  });

  it('does not call a name with an address inside, and connects to the address that was checked', async () => {
    const inside = await refusal(local({ 'evil.test': '10.0.0.1' }).fetch('http://evil.test/', LIMITS));
    expect(inside).toMatchObject({ reason: 'refused', message: expect.stringContaining("'evil.test' is 10.0.0.1") });

    // A name server that answers differently each time: the one answer that was checked is the one that is used.
    let asked = 0;
    const fetcher = new SafeFetch(parseNetworks('127.0.0.1'), async () => [
      { address: asked++ === 0 ? '127.0.0.1' : '10.0.0.1', family: 4 },
    ]);
    open.push(fetcher);
    expect((await fetcher.fetch(`http://rebind.test:${port}/`, LIMITS)).status).toBe(200);
    expect(asked).toBe(1);
  });

  it('takes the good addresses of a name with several', async () => {
    const fetcher = new SafeFetch(parseNetworks('127.0.0.1'), async () => [
      { address: '10.0.0.1', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ]);
    open.push(fetcher);
    expect((await fetcher.fetch(`http://both.test:${port}/`, LIMITS)).status).toBe(200);
  });

  it.each(['file:///etc/passwd', 'ftp://one.test/', 'gopher://one.test', 'nonsense', 'http://u:p@one.test/'])(
    'refuses %s',
    async (address) => {
      expect((await refusal(local().fetch(address, LIMITS))).reason).toBe('refused');
    },
  );

  it('checks an address without calling it', async () => {
    const fetcher = local({ 'inside.test': '10.0.0.1' });
    await fetcher.check(`http://one.test:${port}/`);
    await fetcher.check(`http://127.0.0.1:${port}/`);
    expect((await refusal(fetcher.check('http://inside.test/'))).message).toContain("'inside.test' is 10.0.0.1");
    const nobody = new SafeFetch([], () => Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' })));
    open.push(nobody);
    expect(await refusal(nobody.check('http://nobody.test/'))).toMatchObject({
      ...{ reason: 'network', message: 'http://nobody.test cannot be reached: there is no such host' },
    });
    expect(seen).toEqual([]);
  });

  it('follows no redirect unless asked to: it is the answer', async () => {
    answer = (_request, response) => response.writeHead(302, { Location: '/end' }).end('moved');
    const { status, headers, body } = await local().fetch(`http://one.test:${port}/start`, LIMITS);
    expect([status, headers.location, body.toString()]).toEqual([302, '/end', 'moved']);
    expect(seen).toHaveLength(1);
  });

  describe('redirects', () => {
    const to = (status: number, target: string) => {
      answer = (request, response) =>
        request.url === '/start' ? response.writeHead(status, { Location: target }).end() : response.end('end');
    };
    const send = (more: Partial<SafeRequest> = {}) =>
      local({ 'inside.test': '10.0.0.1' }).fetch(`http://one.test:${port}/start`, {
        ...LIMITS,
        maxRedirects: 5,
        ...more,
      });

    it('are followed, with all headers to the same host', async () => {
      to(302, '/end');
      const { url } = await send({ headers: { Authorization: 'secret' } });
      expect(url).toBe(`http://one.test:${port}/end`);
      expect(seen[1]).toMatchObject({ method: 'GET', headers: { authorization: 'secret' } });
    });

    it('lose every secret on the way to another host', async () => {
      to(302, `http://two.test:${port}/end`);
      await send({ headers: { Authorization: 'secret', Cookie: 'a=b', 'X-Key': 'secret', Accept: 'text/plain' } });
      expect(JSON.stringify(seen[1])).not.toMatch(/secret|a=b/);
      expect(seen[1]?.headers.accept).toBe('text/plain');
    });

    it('do not carry a body to another host', async () => {
      to(307, `http://two.test:${port}/end`);
      const error = await refusal(send({ method: 'POST', body: 'secret' }));
      expect(error.message).toContain('to which the body is not sent');
      expect(seen).toHaveLength(1);
    });

    it.each([
      [303, 'POST', 'GET', ''],
      [302, 'POST', 'GET', ''],
      [307, 'POST', 'POST', 'text'],
      [308, 'PUT', 'PUT', 'text'],
      [301, 'PUT', 'PUT', 'text'],
    ])('%i make of %s a %s', async (status, method, then, body) => {
      to(status, '/end');
      await send({ method, body: 'text', headers: { 'Content-Type': 'text/plain' } });
      expect(seen[1]).toMatchObject({ method: then, body });
      expect(seen[1]?.headers['content-type']).toBe(body === '' ? undefined : 'text/plain');
    });

    it.each([
      ['http://inside.test/', /'inside.test' is 10.0.0.1/],
      ['http://169.254.169.254/', /link-local/],
      ['file:///etc/passwd', /'file:' is not called/],
    ])('are checked like the first address: %s', async (target, message) => {
      to(302, target);
      expect((await refusal(send())).message).toMatch(message);
    });

    it('come to an end', async () => {
      answer = (_request, response) => response.writeHead(302, { Location: '/again' }).end();
      expect((await refusal(send())).message).toBe(`more than 5 redirects, the last one to http://one.test:${port}`);
      expect(seen).toHaveLength(6);
    });
  });

  it('reads no more of a body than it was asked to', async () => {
    answer = (_request, response) => {
      const write = () => response.write('x'.repeat(10_000), (error) => error || setImmediate(write));
      write();
    };
    const { body, truncated } = await local().fetch(`http://one.test:${port}/`, LIMITS);
    expect({ length: body.length, truncated }).toEqual({ length: 1000, truncated: true });
  });

  it('ends with its time, before the answer and during it', async () => {
    answer = () => {};
    const before = await refusal(local().fetch(`http://one.test:${port}/`, { ...LIMITS, timeoutMs: 100 }));
    answer = (_request, response) => response.write('x');
    const during = await refusal(local().fetch(`http://one.test:${port}/`, { ...LIMITS, timeoutMs: 100 }));
    for (const error of [before, during]) {
      expect(error).toMatchObject({
        reason: 'timeout',
        message: `http://one.test:${port} did not answer within 0.1 s`,
      });
    }
  });

  it('takes an answer without its body where it may, whatever keeps the body from coming', async () => {
    const get = (more: Partial<SafeRequest>) => local().fetch(`http://one.test:${port}/`, { ...LIMITS, ...more });
    answer = (_request, response) => response.writeHead(202).write('half');
    expect(await get({ bodyMs: 50 })).toMatchObject({ status: 202, body: Buffer.from('half'), truncated: true });
    const told = new AbortController();
    answer = (_request, response) => response.writeHead(202).write('half', () => setTimeout(() => told.abort(), 20));
    expect(await get({ bodyMs: 30_000, signal: told.signal })).toMatchObject({ status: 202, truncated: true });
    answer = (_request, response) => response.writeHead(202).write('half', () => response.destroy());
    expect(await get({ bodyMs: 30_000 })).toMatchObject({ status: 202, truncated: true });
    expect((await refusal(get({}))).reason).toBe('network');
    answer = (_request, response) => response.end('whole');
    expect(await get({ bodyMs: 30_000 })).toMatchObject({ body: Buffer.from('whole'), truncated: false });
  });

  it('tells nobody the address that is none', async () => {
    expect((await refusal(local().fetch('hooks/secret', LIMITS))).message).not.toContain('secret');
  });

  it('ends when it is told to', async () => {
    const abort = new AbortController();
    answer = () => abort.abort();
    const error = await refusal(local().fetch(`http://one.test:${port}/`, { ...LIMITS, signal: abort.signal }));
    expect(error.reason).toBe('aborted');
  });

  it('says what is wrong with the network', async () => {
    const fetcher = new SafeFetch(parseNetworks('127.0.0.0/8'));
    open.push(fetcher);
    const refused = await refusal(fetcher.fetch('http://127.0.0.1:1/', LIMITS));
    expect(refused).toMatchObject({
      reason: 'network',
      message: 'http://127.0.0.1:1 cannot be reached: the connection was refused',
    });
    answer = (request) => request.socket.destroy();
    const closed = await refusal(fetcher.fetch(`http://127.0.0.1:${port}/`, LIMITS));
    expect(closed.message).toMatch(/cannot be reached: the connection was (closed|reset)/);
  });

  it('asks no proxy', async () => {
    process.env.http_proxy = process.env.HTTP_PROXY = 'http://127.0.0.1:1';
    try {
      expect((await local().fetch(`http://one.test:${port}/`, LIMITS)).status).toBe(200);
    } finally {
      delete process.env.http_proxy;
      delete process.env.HTTP_PROXY;
    }
  });
});
