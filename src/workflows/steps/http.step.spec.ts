import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { complaints, StepFixture } from '../../../test/support/step-fixture.js';
import { parseNetworks } from '../../common/net-addresses.js';
import { SafeFetch } from '../../common/safe-fetch.js';
import type { ResolvedStep, StepContext } from '../step-runner.js';
import { HttpStep } from './http.step.js';

describe('http', () => {
  const fetcher = new SafeFetch(parseNetworks('127.0.0.1'));
  const http = new HttpStep(fetcher);
  let fixture: StepFixture;
  let server: Server;
  let url: string;
  let requests: { method: string; headers: IncomingMessage['headers']; body: string }[];
  let answer: (response: ServerResponse, number: number) => void;

  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        requests.push({ method: request.method!, headers: request.headers, body });
        answer(response, requests.length);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/path?key=secret`;
  });
  beforeEach(() => {
    fixture = new StepFixture();
    requests = [];
    answer = (response) => response.end('{"id": 7, "items": [{"name": "a"}]}');
  });
  afterEach(() => fixture.remove());
  afterAll(async () => {
    await fetcher.onApplicationShutdown();
    server.closeAllConnections();
    server.close();
  });

  const run = (config: object, step: Partial<ResolvedStep> = {}, context: Partial<StepContext> = {}) =>
    fixture.run(http, { url, ...config }, step, context);

  it('completes with the status, the body and the outputs that were asked for', async () => {
    const { result, stdout } = await run({ outputs: { id: 'id', first: 'items[0].name', all: 'items' } });
    expect(result).toEqual({
      status: 'completed',
      outputs: {
        status: '200',
        body: '{"id": 7, "items": [{"name": "a"}]}',
        id: '7',
        first: 'a',
        all: '[{"name":"a"}]',
      },
    });
    expect(stdout).toBe(`GET ${url.replace('?key=secret', '')}: 200\n`);
    expect(requests).toMatchObject([{ method: 'GET', headers: { 'user-agent': 'turnpike' } }]);
  });

  it('sends a body as text or as JSON, and headers of any kind of value', async () => {
    await run({ method: 'POST', body: { a: [1] }, headers: { 'X-Count': 3, 'X-Text': 'a b' } });
    await run({ method: 'PUT', body: 'text', headers: { 'Content-Type': 'text/plain' } });
    await run({ method: 'POST', body: [1], headers: { 'content-type': 'application/vnd.x+json' } });
    expect(requests).toMatchObject([
      {
        method: 'POST',
        body: '{"a":[1]}',
        headers: { 'content-type': 'application/json', 'x-count': '3', 'x-text': 'a b' },
      },
      { method: 'PUT', body: 'text', headers: { 'content-type': 'text/plain' } },
      { body: '[1]', headers: { 'content-type': 'application/vnd.x+json' } },
    ]);
  });

  it.each([
    [undefined, 204, true],
    [undefined, 404, false],
    [404, 404, true],
    ['404', 404, true],
    [[200, 404], 404, true],
    [[200, 202], 404, false],
    [200, 204, false],
  ])('with expected_status %j takes %i: %s', async (expected_status, status, good) => {
    answer = (response) => response.writeHead(status).end(status === 204 ? undefined : 'the reason');
    const { result, stdout } = await run(expected_status === undefined ? {} : { expected_status });
    expect(result.status).toBe(good ? 'completed' : 'failed');
    if (good) return;
    const wanted = expected_status === undefined ? '2xx' : [expected_status].flat().join(' or ');
    expect(result).toHaveProperty('errorMessage', expect.stringContaining(`has status ${status}, not ${wanted}`));
    expect(JSON.stringify(result)).not.toContain('secret');
    if (status !== 204) expect(stdout).toContain('the reason');
  });

  it('fails where an output is not there, and does not ask again for what was done', async () => {
    const failure = (errorMessage: unknown) => ({ status: 'failed', retryable: false, errorMessage });
    const asked = async (path: string) => (await run({ outputs: { x: path } })).result;
    const missing = "step 'x' failed: was answered, but output 'x': the answer has no 'items[3].name'";
    expect(await asked('items[3].name')).toMatchObject(failure(missing));
    answer = (response) => response.end('text');
    expect(await asked('id')).toMatchObject(failure(expect.stringContaining('the answer is no JSON')));
    answer = (response) => response.end(`{"id": "${'x'.repeat(100_000)}"}`);
    expect(await asked('id')).toMatchObject(failure(expect.stringContaining('more than the 64 KiB of a step')));
    answer = (response) => response.end('x'.repeat(2_000_000));
    expect(await asked('id')).toMatchObject(failure(expect.stringContaining('longer than 1 MiB')));
    const { result } = await run({});
    expect(result.status === 'completed' && result.outputs.body?.length).toBe(16 * 1024);
  });

  describe('until', () => {
    it('asks until everything holds', async () => {
      const answers: [number, string][] = [
        [503, 'starting'],
        [200, 'no JSON, but ready'],
        [200, '{"phase": "starting", "note": "ready"}'],
        [200, '{"phase": "up", "replicas": 2, "note": "ready"}'],
      ];
      answer = (response, number) => {
        if (number === 1) return void response.destroy();
        const [status, body] = answers[number - 2]!;
        response.writeHead(status).end(body);
      };
      const until = { json: { phase: 'up', replicas: 2 }, body_contains: 'ready', interval: 0.01, timeout: '1m' };
      const { result, stdout } = await run({ until, outputs: { phase: 'phase' } });
      expect(result).toMatchObject({ status: 'completed', outputs: { phase: 'up' } });
      expect(stdout.split('\n').filter((line) => line.startsWith('not yet: '))).toEqual([
        expect.stringMatching(/cannot be reached: the connection was (closed|reset)$/),
        expect.stringContaining('has status 503, not 2xx'),
        'not yet: the body is no JSON',
        "not yet: 'phase' is not 'up'",
      ]);
    });

    it('can wait for a failure', async () => {
      answer = (response, number) => response.writeHead(number < 3 ? 200 : 404).end();
      expect((await run({ until: { status: 404, interval: 0.01 } })).result).toMatchObject({ status: 'completed' });
    });

    it('gives up', async () => {
      answer = (response) => response.end('{"phase": "starting"}');
      const { result } = await run({ until: { json: { phase: 'up' }, interval: 0.01, timeout: 0.05 } });
      expect(result).toMatchObject({
        status: 'failed',
        cause: 'timeout',
        errorMessage: `step 'x' failed: what it waited for did not come within 0.05; in the end, 'phase' is not 'up'`,
      });
    });

    it('does not repeat what will never be sent', async () => {
      const { result } = await fixture.run(http, { url: 'http://10.0.0.1/', until: { status: 200 } });
      expect(result).toMatchObject({ status: 'failed', cause: 'step_failed', retryable: false });
    });

    it('ends when the run ends', async () => {
      const abort = new AbortController();
      answer = (response) => {
        response.writeHead(503).end();
        abort.abort('cancelled');
      };
      const { result } = await run(
        { until: { status: 200, interval: '1h', timeout: '2h' } },
        {},
        { signal: abort.signal },
      );
      expect(result).toEqual({ status: 'aborted' });
    });
  });

  it('ends with its own timeout, and the timeout of its request', async () => {
    answer = () => {};
    const step = await run({}, { timeoutSeconds: 0.1 });
    expect(step.result).toMatchObject({ cause: 'timeout', errorMessage: expect.stringContaining('timeout of 0.1 s') });
    const request = await run({ timeout: '100ms' });
    expect(request.result).toMatchObject({
      cause: 'step_failed',
      errorMessage: expect.stringContaining('within 0.1 s'),
    });
  });

  it.each([
    [{}, `url: 'url' is missing | Add "url: https://api.example.org/v1/deployments".`],
    [
      { url: 'ftp://x' },
      `url: 'url' is not valid: the text 'ftp://x' | It must be an address that begins with http://`,
    ],
    [{ url: 'http://u:p@x/' }, `without a user name or password`],
    [{ url: 'http://x', method: 'get' }, `Did you mean 'GET'?`],
    [{ url: 'http://x', body: 'x' }, `body: A request with GET has no body | Write "method: POST"`],
    [{ url: 'http://x', headers: { 'a b': 'c' } }, `headers.a b: 'a b' is not a valid name here`],
    [{ url: 'http://x', headers: { a: 'b\nX-Evil: 1' } }, `headers.a: 'a' is not valid`],
    [
      { url: 'http://x', headers: { Host: 'y' } },
      `headers.Host: The header 'Host' is the connection's own | Remove it.`,
    ],
    [{ url: 'http://x', expected_status: 99 }, `expected_status: 'expected_status' is not valid: the number 99`],
    [
      { url: 'http://x', expected_status: '2xx' },
      `expected_status: 'expected_status' must be a whole number or a list`,
    ],
    [{ url: 'http://x', until: { interval: 1 } }, `until.status: 'status' or 'body_contains' or 'json' is missing`],
    [
      { url: 'http://x', until: { stauts: 1 } },
      `until.stauts: unknown key 'stauts' in 'until' | Did you mean 'status'?`,
    ],
    [{ url: 'http://x', outputs: { status: 'a' } }, `outputs.status: The output 'status' is always there`],
    [{ url: 'http://x', outputs: { a: '..b' } }, `outputs.a: 'a' is not valid`],
  ])('refuses %j', (config, complaint) => {
    expect(complaints(http, config).join('\n')).toContain(complaint);
    expect(complaints(http, config)).toHaveLength(1);
  });

  it('takes references wherever a value is wanted', () => {
    const open = '${parameters.x}';
    const config = { url: open, method: open, expected_status: open, headers: { A: open }, timeout: open, body: open };
    expect(complaints(http, { ...config, until: { status: [open], interval: open }, outputs: { a: open } })).toEqual(
      [],
    );
  });
});
