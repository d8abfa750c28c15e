import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { cleanUp, newFolder, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));
const LIMIT = 40;
const WARNING = /^HOST is reachable from other machines/;

describe('the door', () => {
  let database: TestDatabase;
  let plain: ServiceProcess;

  beforeAll(async () => {
    database = await createTestDatabase();
    plain = await ServiceProcess.start({
      env: {
        ROLE: 'api',
        HOST: '0.0.0.0',
        DATABASE_URL: database.url,
        RATE_LIMIT_PER_MINUTE: String(LIMIT),
        REQUEST_TIMEOUT_SECONDS: '1',
        TRUSTED_PROXIES: '127.0.0.1',
        CORS_ORIGINS: 'https://portal.example.com',
      },
    });
  });
  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  /** What comes back when these bytes are sent and no more. */
  async function answerTo(bytes: string): Promise<string> {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(plain.url).port) });
    socket.setEncoding('utf8').write(bytes);
    let answer = '';
    socket.on('data', (text: string) => (answer += text));
    await once(socket, 'close');
    return answer;
  }

  it('tells browsers to run nothing of an answer, and names no software', async () => {
    for (const path of ['/health', '/api/tasks', '/nowhere']) {
      const { headers } = await plain.get(path);
      expect(headers['content-security-policy']).toBe(
        "default-src 'none';frame-ancestors 'none';base-uri 'none';form-action 'none'",
      );
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY' });
      expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(['server', 'x-powered-by']));
      expect(headers['strict-transport-security']).toBeUndefined();
    }
    const { headers } = await plain.get('/api/docs');
    expect(headers['content-security-policy']).toContain("script-src 'self';");
  });

  it('lets pages of named origins in, and no others', async () => {
    const ask = async (origin: string) =>
      (
        await plain.request('OPTIONS', '/api/specs', {
          token: null,
          headers: { Origin: origin, 'Access-Control-Request-Method': 'POST' },
        })
      ).headers;
    expect((await ask('https://portal.example.com'))['access-control-allow-origin']).toBe('https://portal.example.com');
    expect((await ask('https://evil.example.com'))['access-control-allow-origin']).toBeUndefined();
  });

  it('takes no form of another site: no key comes with it, and its content type is refused', async () => {
    expect((await plain.post('/api/specs', 'a=b', 'application/x-www-form-urlencoded')).status).toBe(415);
    expect((await plain.post('/api/specs', 'a: b', 'text/plain')).status).toBe(415);
    expect((await plain.post('/api/queue/pause', undefined, undefined, { token: null })).status).toBe(401);
  });

  it('does not wait for ever for headers or for a body', async () => {
    expect(await answerTo('GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ')).toContain('"code":"request_timeout"');
    const head =
      'POST /api/specs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n';
    expect(await answerTo(`${head}{`)).toContain('408 Request Timeout');
  });

  it('refuses a body of 60 MB by its length, and one that does not say how long it is', async () => {
    const head = 'POST /api/specs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n';
    const authorized = `${head}Authorization: Bearer ${plain.token}\r\n`;
    expect(await answerTo(`${authorized}Content-Length: ${60 * 1024 ** 2}\r\n\r\n`)).toContain('"body_too_large"');
    const chunk = `80001\r\n${'x'.repeat(0x80001)}\r\n`;
    expect(await answerTo(`${authorized}Transfer-Encoding: chunked\r\n\r\n${chunk}`)).toContain('"body_too_large"');
  });

  it('refuses who asks too often, and goes by the address that a trusted proxy names', async () => {
    const from = (address: string) => plain.get('/health', { token: null, headers: { 'X-Forwarded-For': address } });
    for (let n = 0; n < LIMIT; n++) expect((await from('192.0.2.7')).status).toBe(200);
    const refused = await from('192.0.2.7');
    expect(refused.json).toMatchObject({ status: 429, code: 'too_many_requests' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await from('192.0.2.8')).status).toBe(200);
  });

  it('refuses who asks too often without a key, before it reads a body, but no good key', async () => {
    const headers = { 'X-Forwarded-For': '192.0.2.9' };
    const unknown = () => plain.request('POST', '/api/queue/pause', { token: null, headers });
    for (let n = 0; n < LIMIT; n++) expect((await unknown()).status).toBe(401);
    expect((await unknown()).json).toMatchObject({ status: 429, code: 'too_many_requests' });
    // Nothing of the body has come yet.
    const head =
      'POST /api/specs HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.9\r\nContent-Length: 1000\r\nConnection: close';
    const answer = await answerTo(`${head}\r\nContent-Type: application/json\r\n\r\n{`);
    expect(answer).toMatch(/^HTTP\/1.1 429 [^]*Retry-After: \d+[^]*"too_many_requests"/i);
    expect((await plain.get('/health', { token: null, headers })).status).toBe(200);
    const resume = { headers: { ...headers, 'Content-Type': 'application/json' }, body: '{}' };
    expect((await plain.request('POST', '/api/queue/resume', resume)).status).toBeLessThan(400);
  });

  it('speaks TLS, and shows a new certificate after SIGHUP', async () => {
    const folder = newFolder();
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const use = (name: string) => {
      copyFileSync(fixture(`${name}.cert`), certFile);
      copyFileSync(fixture(`${name}.key`), keyFile);
    };
    use('first');
    const env = {
      ROLE: 'api',
      HOST: '0.0.0.0',
      DATABASE_URL: database.url,
      TLS_CERT_FILE: certFile,
      TLS_KEY_FILE: keyFile,
    };
    const service = await ServiceProcess.start({ env });
    expect(service.url).toMatch(/^https:/);
    const ask = async () => {
      const asked = request(`${service.url}/health`, { agent: false, rejectUnauthorized: false }).end();
      const [response] = (await once(asked, 'response')) as [import('node:http').IncomingMessage];
      const { subject } = (response.socket as TLSSocket).getPeerCertificate();
      response.resume();
      return { name: subject.CN, headers: response.headers };
    };
    const { name, headers } = await ask();
    expect(name).toBe('first.turnpike.test');
    expect(headers['strict-transport-security']).toMatch(/^max-age=\d{8}/);
    use('second');
    service.signal('SIGHUP');
    await service.waitForLog('The certificate was read anew');
    expect((await ask()).name).toBe('second.turnpike.test');

    const warns = (other: ServiceProcess) => other.logs().some(({ msg }) => WARNING.test(msg ?? ''));
    expect([warns(plain), warns(service)]).toEqual([true, false]);
  });
});
