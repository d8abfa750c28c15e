import { mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { cleanUp, newFolder, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const TOKEN = 'Sesame/open+5 "now"';
const FROM_ENV = 'from-the-environment-42';
const KEY = 'first line of the key\nsecond line of the key';

/** What would give one of them away. */
const TRACES = [TOKEN, FROM_ENV, ...KEY.split('\n')].flatMap((value) => {
  const core = [0, 1, 2].map((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), Buffer.from(value)]).toString('base64');
    return encoded.slice(Math.ceil((8 * before) / 6), Math.floor((8 * (before + value.length)) / 6));
  });
  return [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value), ...core];
});

const CATALOGUE = `goldenpaths:
  deploy-app:
    secrets: [TOKEN, DB_*]
    workflow:
      steps:
        - name: print
          type: bash
          env: {T: "\${secrets.TOKEN}", KEY_FILE: "\${secrets.DB_KEY.file}"}
          command: |
            set -e
            echo "plain: $T and \${secrets.DB_PASSWORD}"
            printf 'base64: ' && printf '%s' "$T" | base64
            printf 'shifted: ' && printf 'ab%s' "$T" | base64
            printf 'url: Sesame%%2Fopen%%2B5%%20%%22now%%22\\n'
            printf 'split: Sesame/o' && sleep 0.3 && printf 'pen+5 "now"\\n'
            cat "$KEY_FILE" >&2
            stat -c 'mode: %a' "$KEY_FILE"
            printf '%s' "$T" >pattern
            bash -c 'sleep 20; :' control-argument & control=$!
            echo "argv: $(grep -lsF -f pattern /proc/[0-9]*/cmdline | wc -l)"
            echo "control: $(printf 'control-argument' >known; grep -lsF -f known /proc/[0-9]*/cmdline | wc -l)"
            kill $control; rm pattern
            echo "done=$(echo "$T" | wc -c)" >>"$STEP_OUTPUT"
        - name: send
          type: http
          url: http://127.0.0.1:PORT/hook
          method: POST
          headers: {Authorization: "Bearer \${secrets.DB_PASSWORD}"}
          body: {token: "\${secrets.TOKEN}"}
        - name: cause
          type: policy
          command: echo "refused \${secrets.TOKEN}"; exit 1
  leaky:
    secrets: [TOKEN]
    workflow:
      steps: [{name: leak, type: bash, command: 'echo "x=\${secrets.TOKEN}" >>"$STEP_OUTPUT"'}]
  missing:
    secrets: [NOWHERE]
    workflow:
      steps: [{name: a, type: bash, command: touch ran}, {name: b, type: bash, env: {X: "\${secrets.NOWHERE}"}, command: "true"}]
  inline:
    secrets: [TOKEN]
    secrets_for_inline: true
    workflow:
      steps: [{name: a, type: noop}]
`;

describe('secrets', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let server: http.Server;
  const received: { authorization?: string; body: string }[] = [];

  beforeAll(async () => {
    server = http.createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      // An answer that says everything again.
      request.on('end', () => {
        received.push({ authorization: request.headers.authorization, body });
        response.end(JSON.stringify({ headers: request.headers, body }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const dataDir = newFolder();
    const secrets = join(dataDir, 'secrets');
    mkdirSync(secrets);
    writeFileSync(join(secrets, 'TOKEN'), `${TOKEN}\n`);
    writeFileSync(join(secrets, 'DB_KEY'), `${KEY}\n`);
    const catalogue = join(dataDir, 'goldenpaths.yaml');
    writeFileSync(catalogue, CATALOGUE.replace('PORT', String((server.address() as AddressInfo).port)));
    database = await createTestDatabase();
    service = await ServiceProcess.start({
      dataDir,
      env: {
        ...{ DATABASE_URL: database.url, GOLDEN_PATHS_FILE: catalogue, OUTBOUND_ALLOWED_CIDRS: '127.0.0.1' },
        ...{ SECRETS_DIR: secrets, TURNPIKE_SECRET_DB_PASSWORD: FROM_ENV, LOG_LEVEL: 'trace' },
      },
    });
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
    server.close();
  });

  const run = async (path: string) => {
    const body = JSON.stringify({ app_name: 'shop' });
    const answer = await service.post(`/api/workflows/golden-paths/${path}/execute`, body, 'application/json');
    expect(answer.status).toBe(202);
    return (await service.get(`/api/tasks/${answer.json.task_id as string}?wait=60s`)).json;
  };

  const document = (value: string) =>
    JSON.stringify({
      ...{ apiVersion: 'score.dev/v1b1', metadata: { name: 'shop' }, containers: { web: { image: 'nginx' } } },
      workflow: { steps: [{ name: 'own', type: 'bash', env: { X: value }, command: 'echo "$X"' }] },
    });
  const submit = (path: string, value: string, query = '') =>
    service.post(`/api/specs?golden_path=${path}${query}`, document(value), 'application/json');

  it('reach bash, an http request and a file, and are shown nowhere', async () => {
    const task = await run('deploy-app');
    const log = (await service.get(`/api/tasks/${task.task_id as string}/logs`)).text;
    expect(task).toMatchObject({ status: 'failed', cause: 'rejected', error_message: 'refused ***' });
    expect(received).toEqual([{ authorization: `Bearer ${FROM_ENV}`, body: JSON.stringify({ token: TOKEN }) }]);
    for (const line of ['plain: *** and ***', 'base64: ***', 'url: ***', 'split: ***', 'mode: 600', 'argv: 0']) {
      expect(log.split('\n')).toContain(line);
    }
    expect(log).toMatch(/^shifted: .{2,3}\*\*\*/m);
    expect(log).toMatch(/^control: [1-9]/m);
    expect(task.steps[0].outputs).toEqual({ done: String(TOKEN.length + 1) });
    expect(task.steps[1].outputs.body).toContain('***');
  });

  it('fail a step that hands one on, and a task whose worker does not have one before anything runs', async () => {
    expect((await run('leaky')).error_message).toMatch(/^step 'leak' ended well, but its output 'x' holds a secret/);
    const task = await run('missing');
    expect(task.error_message).toContain("step 'b' cannot run: the secret 'NOWHERE' is not on this worker");
    expect(task.steps).toMatchObject([{ started_at: null }, { status: 'failed', cause: 'missing_secret' }]);
  });

  it('are for the steps that the catalogue allows them', async () => {
    const refused = await submit('deploy-app', '${secrets.TOKEN}');
    expect(refused.status).toBe(422);
    expect(refused.json.errors[0]).toMatchObject({
      path: 'workflow.steps[0].env.X',
      message: expect.stringContaining('gives its secrets to its own steps, and none to the steps of a document'),
    });
    const unlisted = await submit('inline', '${secrets.OTHER}');
    expect([unlisted.status, unlisted.json.errors[0].message]).toEqual([
      422,
      "'${secrets.OTHER}' is refused: golden path 'inline' does not allow it; it allows TOKEN",
    ]);
    const dry = await submit('deploy-app', '${secrets.TOKEN}', '&dry_run=true');
    expect([dry.status, dry.json.problems]).toEqual([
      200,
      [expect.stringContaining("step 'own' may not use ${secrets.TOKEN}: golden path 'deploy-app'")],
    ]);
    const taskId = (await submit('inline', '${secrets.TOKEN}')).json.task_id as string;
    expect((await service.get(`/api/tasks/${taskId}?wait=60s`)).json.status).toBe('completed');
    expect((await service.get(`/api/tasks/${taskId}/logs`)).text).toBe('***\n');
    expect((await service.get('/api/golden-paths/deploy-app')).json.secrets).toEqual({
      ...{ uses: ['DB_KEY', 'DB_PASSWORD', 'TOKEN'], allowed: ['TOKEN', 'DB_*'], for_inline: false },
    });
  });

  it('are in no column of the database, and in no line of the log', async () => {
    const columns = await database.query(
      `SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t
         USING (table_schema, table_name)
       WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
         AND c.data_type IN ('text', 'jsonb', 'json', 'bytea', 'character varying', 'ARRAY')`,
    );
    expect(columns.length).toBeGreaterThan(50);
    let texts = '';
    for (const { table_name: table, column_name: column } of columns as { table_name: string; column_name: string }[]) {
      const rows = await database.query(
        `SELECT "${column}"::text AS text FROM "${table}" WHERE "${column}" IS NOT NULL`,
      );
      for (const { text } of rows as { text: string }[]) texts += `${decoded(text)}\n`;
    }
    // What is looked through is what was stored.
    expect(texts).toContain('${secrets.TOKEN}');
    expect(texts).toContain('plain: *** and ***');
    const said = service.stdout + service.stderr;
    for (const trace of TRACES)
      expect([trace, texts.includes(trace), said.includes(trace)]).toEqual([trace, false, false]);
  });
});

/** A bytea as PostgreSQL prints it, as text. */
function decoded(text: string): string {
  const hex = /^\\x([0-9a-f]*)$/.exec(text)?.[1];
  return hex === undefined ? text : Buffer.from(hex, 'hex').toString();
}
