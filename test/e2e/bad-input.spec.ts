import { once } from 'node:events';
import net from 'node:net';
import { brokenInvariants } from '../support/invariant.js';
import { type Answer, cleanUp, type RequestOptions, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { documentOf, EXAMPLE } from './documents.js';

const YAML = 'application/yaml';
const JSON_TYPE = 'application/json';
const BODY_LIMIT = 4096;
/** As many as the largest golden path has, at least. */
const MAX_STEPS = 20;
const UNKNOWN = 'task-01a20000-0000-7000-8000-000000000000';

interface Expected {
  readonly status: number;
  readonly code: string;
  /** What the first entry of errors[] must hold, or all of them. */
  readonly errors?: object | object[];
  readonly detail?: RegExp;
  readonly headers?: Record<string, unknown>;
}

type Case = [what: string, ask: (service: ServiceProcess) => Promise<Answer>, expected: Expected];

const submit =
  (body: string | Buffer | undefined, { type = YAML, query = '' }: { type?: string | null; query?: string } = {}) =>
  (service: ServiceProcess) =>
    service.post(`/api/specs${query}`, body, type ?? undefined);
const submitQuery = (query: string) => submit(EXAMPLE(), { query });
const get = (path: string, options?: RequestOptions) => (service: ServiceProcess) => service.get(path, options);

const malformedYaml = (errors: object): Expected => ({ status: 400, code: 'malformed_yaml', errors });
const malformedJson = (errors: object): Expected => ({ status: 400, code: 'malformed_json', errors });
const invalid = (errors: object | object[]): Expected => ({ status: 422, code: 'invalid_document', errors });
const wrongParameter = (errors: object | object[]): Expected => ({ status: 422, code: 'invalid_parameter', errors });
const notFound: Expected = { status: 404, code: 'not_found' };
const noTask: Expected = { status: 404, code: 'task_not_found' };
const unauthorized: Expected = {
  status: 401,
  code: 'unauthorized',
  headers: { 'www-authenticate': expect.stringMatching(/^Bearer\b/) },
};
const noMediaType: Expected = { status: 415, code: 'unsupported_media_type' };

const edited = (what: string | RegExp, by: string) => {
  const text = EXAMPLE().replace(what, by);
  if (text === EXAMPLE()) throw new Error(`${String(what)} is not in the example`);
  return text;
};
/** The example with the lines of its one step replaced. */
const withSteps = (steps: string) => EXAMPLE().replace(/ {2}steps:[^]*/, `  steps:\n${steps}`);

const documents: Case[] = [
  ['an unclosed quote', submit(edited('nginx:latest', '"nginx:latest')), malformedYaml({ line: 6, column: 12 })],
  [
    'a tab as indentation',
    submit(edited('  name: demo-app', '\tname: demo-app')),
    malformedYaml({ line: 3, column: 1, message: expect.stringContaining('tab'), hint: expect.any(String) }),
  ],
  [
    'a missing colon',
    submit(edited('containers:', 'containers')),
    malformedYaml({ line: 4, column: 1, hint: expect.stringContaining('containers:') }),
  ],
  ['two documents', submit(`${EXAMPLE()}---\n${EXAMPLE()}`), malformedYaml({ line: 16, column: 1 })],
  [
    'a duplicate key',
    submit(`${EXAMPLE()}metadata: {}\n`),
    { status: 400, code: 'malformed_yaml', errors: { line: 16 } },
  ],
  ['malformed JSON', submit('{"apiVersion": }', { type: JSON_TYPE }), malformedJson({ line: 1, column: 16 })],
  ['JSON cut off', submit('{\n  "a": [1,', { type: JSON_TYPE }), malformedJson({ line: 2 })],
  ['YAML sent as JSON', submit(EXAMPLE(), { type: JSON_TYPE }), malformedJson({ line: 1, column: 1 })],
  [
    'no containers',
    submit(edited(/containers:\n.*\n.*\n/, '')),
    invalid({ path: 'containers', message: expect.stringContaining("'containers' is missing") }),
  ],
  [
    'a misspelt step type',
    submit(edited('type: bash', 'type: bsah')),
    invalid({ path: 'workflow.steps[0].type', line: 10, column: 13, hint: "Did you mean 'bash'?" }),
  ],
  [
    'a misspelt key of a step',
    submit(edited('config:', 'confg:')),
    invalid([
      { path: 'workflow.steps[0].config.command', message: expect.stringContaining('is missing') },
      { path: 'workflow.steps[0].confg', line: 11, column: 7, hint: "Did you mean 'config'?" },
    ]),
  ],
  [
    'a condition that is none',
    submit(edited('type: bash', 'type: bash\n      if: $A = 1')),
    invalid({ path: 'workflow.steps[0].if', line: 11, column: 14, hint: "Did you mean '=='?" }),
  ],
  [
    'a reference that leads nowhere',
    submit(edited('type: bash', 'type: bash\n      env: {X: "${build.version}"}')),
    invalid({ path: 'workflow.steps[0].env.X', line: 11, column: 17, message: expect.stringContaining("'build'") }),
  ],
  [
    'steps that wait for each other',
    submit(
      withSteps(
        '    - {name: a, type: bash, dependsOn: [b], config: {command: x}}\n    - {name: b, type: bash, dependsOn: a, config: {command: x}}\n',
      ),
    ),
    invalid({ path: 'workflow.steps[0].dependsOn[0]', line: 9, message: expect.stringContaining('a → b → a') }),
  ],
  [
    'another tool´s word for a key',
    submit(edited('type: bash', 'type: bash\n      depends_on: [a]')),
    invalid({ path: 'workflow.steps[0].depends_on', line: 11, hint: "Did you mean 'dependsOn'?" }),
  ],
  [
    'a step without a command',
    submit(edited(/command: [^]*/, '{}')),
    invalid({ path: 'workflow.steps[0].config.command' }),
  ],
  ['a command that is no text', submit(edited(/command: [^]*/, 'command: [a]')), invalid({ line: 12 })],
  [
    'two steps of one name',
    submit(withSteps('    - {name: a, type: bash, config: {command: x}}\n'.repeat(2))),
    invalid({ path: 'workflow.steps[1].name', line: 10 }),
  ],
  ['no steps', submit(withSteps('    []\n')), invalid({ path: 'workflow.steps' })],
  [
    'wrong values of a step',
    submit(
      withSteps(
        '    - name: "../x"\n      type: bash\n      timeout: 0s\n      env: {"1A": x, B: [1]}\n      config: {command: x}\n',
      ),
    ),
    invalid([
      { path: 'workflow.steps[0].name', line: 9 },
      { path: 'workflow.steps[0].timeout', line: 11 },
      { line: 12, message: expect.stringContaining('1A') },
      { path: 'workflow.steps[0].env.B', line: 12 },
    ]),
  ],
  ['a NUL character in a value', submit(edited('nginx:latest', '"a\\0b"')), malformedYaml({ line: 6 })],
  [
    'half of a surrogate pair in a value',
    submit(JSON.stringify(documentOf('true')).replace('nginx', '\\ud800'), { type: JSON_TYPE }),
    malformedJson({ line: 1 }),
  ],
  ['a list', submit('- a\n'), { status: 422, code: 'invalid_document' }],
  ['a number', submit('42'), { status: 422, code: 'invalid_document' }],
  ['null', submit('null', { type: JSON_TYPE }), { status: 422, code: 'invalid_document' }],
  ['an empty body', submit('', { type: YAML }), { status: 400, code: 'malformed_yaml' }],
  ['an empty body of JSON', submit('', { type: JSON_TYPE }), { status: 400, code: 'malformed_json' }],
  ['a body of comments', submit('# nothing here\n'), { status: 400, code: 'malformed_yaml' }],
  ['no body at all', submit(undefined, { type: null }), noMediaType],
  ['no content type', submit(EXAMPLE(), { type: null }), noMediaType],
  ['a form', submit('a=b', { type: 'application/x-www-form-urlencoded' }), noMediaType],
  ['plain text', submit(EXAMPLE(), { type: 'text/plain' }), noMediaType],
  ['another charset', submit(EXAMPLE(), { type: 'application/yaml; charset=utf-16' }), noMediaType],
  ['a malformed content type', submit(EXAMPLE(), { type: ';;;' }), noMediaType],
  [
    'text that is not UTF-8',
    submit(Buffer.from(edited('demo-app', 'caf\xe9'), 'latin1')),
    { status: 400, code: 'invalid_encoding', errors: { line: 3 } },
  ],
  ['a body too large', submit(`${EXAMPLE()}${'#'.repeat(BODY_LIMIT)}`), { status: 413, code: 'body_too_large' }],
  [
    'too many steps',
    submit(
      withSteps(
        Array.from({ length: MAX_STEPS + 1 }, (_, n) => `    - {name: s${n}, type: bash, config: {command: x}}\n`).join(
          '',
        ),
      ),
    ),
    { status: 413, code: 'too_many_steps', errors: { path: 'workflow.steps' } },
  ],
];

const parameters: Case[] = [
  [
    'a misspelt parameter',
    submitQuery('?prioriti=high'),
    wrongParameter({ path: 'prioriti', hint: "Did you mean 'priority'?" }),
  ],
  [
    'an unknown parameter',
    submitQuery('?zzzzzz='),
    wrongParameter({ hint: expect.stringMatching(/golden_path, priority/) }),
  ],
  ['a parameter given twice', submitQuery('?priority=low&priority=high'), wrongParameter({ path: 'priority' })],
  ['a wrong golden path', submitQuery('?golden_path=../etc'), wrongParameter({ path: 'golden_path' })],
  [
    'an unknown priority',
    submitQuery('?priority=highest'),
    wrongParameter({ message: expect.stringContaining('urgent') }),
  ],
  ['an empty priority', submitQuery('?priority='), wrongParameter({ path: 'priority' })],
  ['no duration', submitQuery('?start_within=soon'), wrongParameter({ path: 'start_within' })],
  ['a delay too long', submitQuery('?delay=9999d'), wrongParameter({ path: 'delay' })],
  ['a negative delay', submitQuery('?delay=-5s'), wrongParameter({ path: 'delay' })],
  ['a week', submitQuery('?run_at=2026-W05-1'), wrongParameter({ path: 'run_at' })],
  ['a day of the year', submitQuery('?run_at=2026-031'), wrongParameter({ path: 'run_at' })],
  ['a time with a comma', submitQuery('?run_at=2026-01-31T13:00:00,5Z'), wrongParameter({ path: 'run_at' })],
  ['a leap second', submitQuery('?run_at=2016-12-31T23:59:60Z'), wrongParameter({ path: 'run_at' })],
  [
    'a zone that does not exist',
    get('/api/tasks?since=2026-01-31T13:00:00%2B23:00'),
    wrongParameter({ path: 'since' }),
  ],
  ['the year 0', get('/api/tasks?since=0000-01-01T00:00:00Z'), wrongParameter({ path: 'since' })],
  ['a time without a zone', submitQuery('?run_at=2026-01-31T13:00:00'), wrongParameter({ path: 'run_at' })],
  ['no time', submitQuery('?run_at=tomorrow'), wrongParameter({ path: 'run_at' })],
  ['a day that does not exist', submitQuery('?run_at=2026-02-30T00:00:00Z'), wrongParameter({ path: 'run_at' })],
  ['two start times', submitQuery('?run_at=2026-01-31T13:00:00Z&delay=1m'), wrongParameter({ path: 'delay' })],
  ['no attempts', submitQuery('?max_attempts=0'), wrongParameter({ path: 'max_attempts' })],
  ['half an attempt', submitQuery('?max_attempts=1.5'), wrongParameter({ path: 'max_attempts' })],
  ['attempts in words', submitQuery('?max_attempts=many'), wrongParameter({ path: 'max_attempts' })],
  ['a timeout of nothing', submitQuery('?timeout=0s'), wrongParameter({ path: 'timeout' })],
  ['a wrong label', submitQuery('?label.-x-=1'), wrongParameter({ path: 'label.-x-' })],
  ['a label given twice', submitQuery('?label.a=1&label.a=2'), wrongParameter({ path: 'label.a' })],
  ['a label too long', submitQuery(`?label.a=${'x'.repeat(256)}`), wrongParameter({ path: 'label.a' })],
  ['a label with NUL', submitQuery('?label.a=%00'), { status: 422, code: expect.any(String) }],
  ['a label of a prototype', submitQuery('?label.__proto__=1'), wrongParameter({ path: 'label.__proto__' })],
  ['a parameter of a prototype', submitQuery('?__proto__[x]=1'), wrongParameter({})],
  [
    'several wrong parameters, all named at once',
    submitQuery('?priority=x&timeout=y&max_attempts=z&colour=red'),
    wrongParameter([{ path: 'colour' }, { path: 'priority' }, { path: 'max_attempts' }, { path: 'timeout' }]),
  ],
  ['an unknown parameter of the list', get('/api/tasks?state=failed'), wrongParameter({ path: 'state' })],
  [
    'an unknown status',
    get('/api/tasks?status=done'),
    wrongParameter({ message: expect.stringContaining('completed') }),
  ],
  ['an empty app_name', get('/api/tasks?app_name='), wrongParameter({ path: 'app_name' })],
  ['a name with NUL', get('/api/tasks?app_name=%00'), wrongParameter({ path: 'app_name' })],
  ['a week as since', get('/api/tasks?since=2026-W05-1'), wrongParameter({ path: 'since' })],
  ['a year before Christ', get('/api/tasks?until=-0044-03-15T12:00:00Z'), wrongParameter({ path: 'until' })],
  ['a malformed since', get('/api/tasks?since=yesterday'), wrongParameter({ path: 'since' })],
  ['a since no database knows', get('/api/tasks?since=-271821-04-20T00:00:00Z'), wrongParameter({ path: 'since' })],
  ['a limit of zero', get('/api/tasks?limit=0'), wrongParameter({ path: 'limit' })],
  ['a limit too high', get('/api/tasks?limit=501'), wrongParameter({ path: 'limit' })],
  ['a limit in words', get('/api/tasks?limit=all'), wrongParameter({ path: 'limit' })],
  ['an empty limit', get('/api/tasks?limit='), wrongParameter({ path: 'limit' })],
  ['a bad cursor', get('/api/tasks?cursor=abc'), wrongParameter({ path: 'cursor', hint: expect.any(String) })],
  ['a hostile cursor', get(`/api/tasks?cursor=${cursorOf("1' OR 1=1")}`), wrongParameter({ path: 'cursor' })],
  ['a cursor given twice', get('/api/tasks?cursor=a&cursor=b'), wrongParameter({ path: 'cursor' })],
];

const addresses: Case[] = [
  ['an unknown route', get('/api/nothing'), notFound],
  ['the root', get('/'), notFound],
  ['a route in capitals', get('/API/TASKS'), notFound],
  ['a method that a route does not have', (service) => service.request('DELETE', '/api/tasks'), notFound],
  ['a submission by PUT', (service) => service.request('PUT', '/api/specs'), notFound],
  ['an unknown task', get(`/api/tasks/${UNKNOWN}`), noTask],
  ['the logs of an unknown task', get(`/api/tasks/${UNKNOWN}/logs`), noTask],
  ['the events of an unknown task', get(`/api/tasks/${UNKNOWN}/events`), noTask],
  ['a cancel of an unknown task', (service) => service.post(`/api/tasks/${UNKNOWN}/cancel`), noTask],
  ['a retry of an unknown task', (service) => service.post(`/api/tasks/${UNKNOWN}/retry`), noTask],
  ['a task id that climbs', get('/api/tasks/..%2f..%2fetc%2fpasswd'), noTask],
  ['a path that climbs', get('/api/tasks/../../etc/passwd'), notFound],
  ['a task id with NUL', get('/api/tasks/%00'), noTask],
  ['the logs of a task id with NUL', get('/api/tasks/a%00b/logs'), noTask],
  ['the events of a task id with NUL', get('/api/tasks/a%00b/events'), noTask],
  ['a cancel of a task id with NUL', (service) => service.post('/api/tasks/%00/cancel'), noTask],
  ['a retry of a task id with NUL', (service) => service.post('/api/tasks/%00/retry'), noTask],
  ['a task id of quotes', get("/api/tasks/'%20OR%201=1--"), noTask],
  ['a task id of other letters', get('/api/tasks/%F0%9F%92%A5'), noTask],
  ['a long task id', get(`/api/tasks/${'x'.repeat(100)}`), noTask],
  ['a very long task id', get(`/api/tasks/${'x'.repeat(5000)}`), { status: 414, code: 'uri_too_long' }],
  ['an empty task id', get('/api/tasks/'), notFound],
  ['a malformed percent-encoding', get('/api/tasks/%zz'), { status: 400, code: 'bad_request' }],
  ['an encoding of no UTF-8', get('/api/tasks/%ff%fe'), { status: 400, code: 'bad_request' }],
  ['a malformed encoding in the query', get('/api/tasks?status=%zz'), { status: 422, code: 'invalid_parameter' }],
];

const keys: Case[] = [
  ['no key', get('/api/tasks', { token: null }), unauthorized],
  ['a wrong key', get('/api/tasks', { token: 'e2e-admin-token-0123456788' }), unauthorized],
  ['an empty key', get('/api/tasks', { token: '' }), unauthorized],
  [
    'another scheme',
    get('/api/tasks', { token: null, headers: { Authorization: `Basic ${btoa('admin:e2e-admin-token-0123456789')}` } }),
    unauthorized,
  ],
  ['the key in the query', get('/api/tasks?token=e2e-admin-token-0123456789', { token: null }), unauthorized],
  [
    'no key and a bad document: who asks comes first',
    (service) => service.post('/api/specs', '{', JSON_TYPE, { token: null }),
    unauthorized,
  ],
];

describe('bad input', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  /** A task that has ended. */
  let ended: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    const env = { DATABASE_URL: database.url, BODY_LIMIT: String(BODY_LIMIT), MAX_STEPS: String(MAX_STEPS) };
    service = await ServiceProcess.start({ env });
    ended = await service.submit(documentOf('true'));
    await service.waitForTask(ended, 'completed');
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  const tasks = async () => (await database.query('SELECT count(*)::int AS n FROM queue_tasks'))[0] as { n: number };

  it.each([...documents, ...parameters, ...addresses, ...keys])('%s', async (_, ask, expected) => {
    const before = await tasks();
    const answer = await ask(service);
    expectProblem(answer, expected);
    expect(await tasks()).toEqual(before);
  });

  it('finds the task that has ended in a state that allows no cancel', async () => {
    const answer = await service.post(`/api/tasks/${ended}/cancel`);
    expectProblem(answer, { status: 409, code: 'illegal_transition', detail: /completed/ });
  });

  it.each([
    [
      'a retry of a task that waits',
      '',
      'retry',
      undefined,
      { status: 409, code: 'illegal_transition', detail: /scheduled/ },
    ],
    ['malformed JSON', '', 'cancel', '{"reason":', malformedJson({ line: 1 })],
    ['a list', '', 'cancel', '[]', { status: 422, code: 'invalid_parameter' }],
    ['a text', '', 'cancel', '"why"', { status: 422, code: 'invalid_parameter' }],
    ['an unknown field', '', 'cancel', '{"reson":"x"}', wrongParameter({ path: 'reson', hint: expect.any(String) })],
    ['a reason that is no text', '', 'cancel', '{"reason":{}}', wrongParameter({ path: 'reason' })],
    ['a reason with NUL', '', 'cancel', '{"reason":"a\\u0000b"}', malformedJson({ line: 1, column: 11 })],
    ['a reason too long', '', 'cancel', `{"reason":"${'x'.repeat(1001)}"}`, wrongParameter({ path: 'reason' })],
  ] as [string, string, string, string | undefined, Expected][])(
    'in the body of a verb: %s; the task stays as it is',
    async (_, __, verb, body, expected) => {
      const taskId = await service.submit(documentOf('true'), '?delay=1h');
      const answer = await service.post(
        `/api/tasks/${taskId}/${verb}`,
        body,
        body === undefined ? undefined : JSON_TYPE,
      );
      expectProblem(answer, expected);
      expect(await service.task(taskId)).toMatchObject({ status: 'scheduled' });
    },
  );

  it.each([
    ['no HTTP at all', 'hello\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['an unknown version', 'GET / HTTP/9.9\r\nHost: x\r\n\r\n'],
    ['a header without a colon', 'GET /health HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n'],
    ['a header too large', `GET /health HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(70_000)}\r\n\r\n`],
    ['two lengths', 'POST /api/specs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc'],
    ['a length that is no number', 'POST /api/specs HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\nabc'],
    [
      'a length and chunks',
      'POST /api/specs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a broken chunk', 'POST /api/specs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['a NUL in the path', 'GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('on the socket, %s, gets a 4xx and ends the connection', async (_, bytes) => {
    const answer = await rawRequest(service, bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer).toMatch(/content-type: application\/problem\+json/i);
    expect(JSON.parse(answer.slice(answer.lastIndexOf('\r\n\r\n')))).toMatchObject({
      status: expect.any(Number),
      code: expect.any(String),
      request_id: expect.stringMatching(/./),
    });
  });

  it('as a body that breaks off stores nothing', async () => {
    const before = await tasks();
    const head = `POST /api/specs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${service.token}\r\n`;
    const body = `Content-Type: application/yaml\r\nContent-Length: ${EXAMPLE().length + 1}\r\n\r\n${EXAMPLE()}`;
    const socket = net.connect(Number(new URL(service.url).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write(head + body);
    socket.resetAndDestroy();
    await once(socket, 'close');
    const taskId = await service.submit(documentOf('true'));
    expect(await tasks()).toEqual({ n: before.n + 1 });
    await service.waitForTask(taskId, 'completed');
  });

  it('does the service no harm', async () => {
    expect(service.logs().filter(({ level }) => Number(level) >= 40)).toEqual([]);
    expect(service.stderr).toBe('');
    const taskId = await service.submit(documentOf('echo fine'));
    await service.waitForTask(taskId, 'completed');
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
  });
});

function expectProblem(answer: Answer, { status, code, errors, detail, headers }: Expected): void {
  expect({ status: answer.status, ...answer.json }).toMatchObject({
    status,
    code,
    type: typeof code === 'string' ? `urn:turnpike:error:${code}` : expect.any(String),
    title: expect.any(String),
    detail: expect.stringMatching(detail ?? /./),
    request_id: answer.headers['x-request-id'],
  });
  expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
  if (headers) expect(answer.headers).toMatchObject(headers);
  if (Array.isArray(errors)) expect(answer.json.errors).toMatchObject(errors);
  else if (errors) expect(answer.json.errors[0]).toMatchObject(errors);
}

function cursorOf(id: string): string {
  return Buffer.from(`id:${id}`).toString('base64url');
}

/** Sends bytes and reads until the service ends the connection. */
async function rawRequest(service: ServiceProcess, bytes: string): Promise<string> {
  const socket = net.connect(Number(new URL(service.url).port), '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  socket.write(bytes, 'latin1');
  await once(socket, 'close');
  return Buffer.concat(chunks).toString('latin1');
}
