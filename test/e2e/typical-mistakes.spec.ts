import { readFile, writeFile } from 'node:fs/promises';
import { ERROR_CODES } from '../../src/common/problem/error-codes.js';
import { cleanUp, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const FILE = 'docs/errors.md';
const BEGIN = '<!-- made by test/e2e/typical-mistakes.spec.ts; UPDATE_DOCS=1 writes it anew -->\n';

const GOOD = `apiVersion: score.dev/v1b1
metadata:
  name: demo-app
containers:
  web:
    image: nginx:latest
workflow:
  steps:
    - name: build
      type: bash
      config:
        command: echo hello
`;

interface Mistake {
  readonly title: string;
  readonly path?: string;
  readonly type?: string;
  readonly token?: string;
  readonly body: string;
}

const MISTAKES: Mistake[] = [
  { title: 'Wrong indentation', body: GOOD.replace('    image:', '  image:') },
  { title: 'A tab', body: GOOD.replace('  name: demo-app', '\tname: demo-app') },
  { title: 'A missing colon', body: GOOD.replace('metadata:', 'metadata') },
  { title: 'No containers', body: GOOD.replace(/containers:\n.*\n.*\n/, '') },
  { title: 'A misspelt key', body: GOOD.replace('image:', 'imgae:') },
  { title: 'A misspelt step type', body: GOOD.replace('type: bash', 'type: bsh') },
  {
    title: 'A number where text belongs',
    body: GOOD.replace('image: nginx:latest', 'image: nginx:latest\n    variables:\n      PORT: 8080'),
  },
  {
    title: 'Two steps of one name',
    body: `${GOOD}    - name: build\n      type: bash\n      config: {command: make}\n`,
  },
  { title: 'A misspelt parameter', path: '/api/specs?prioritty=high', body: GOOD },
  { title: 'A wrong value for a golden path', path: '/api/specs?param.replicas=many', body: GOOD },
  { title: 'A golden path that does not exist', path: '/api/specs?golden_path=deploy-ap', body: GOOD },
  { title: 'A wrong token', token: 'not-the-token', body: GOOD },
  { title: 'curl without a content type', type: 'application/x-www-form-urlencoded', body: GOOD },
];

describe('typical mistakes and the answers they get', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  beforeAll(async () => {
    database = await createTestDatabase();
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url } });
  });
  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  async function answerTo({ path = '/api/specs', type = 'application/yaml', token, body }: Mistake): Promise<string> {
    const options = { headers: { 'X-Request-Id': 'req-1' }, ...(token === undefined ? {} : { token }) };
    const { status, json } = await service.post(path, body, type, options);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    return JSON.stringify(json, null, 2);
  }

  it('stand in docs/errors.md as they are', async () => {
    let made = BEGIN;
    for (const mistake of MISTAKES) {
      const sent = mistake.path ? `\`POST ${mistake.path}\`` : shownPart(mistake.body);
      made += `\n### ${mistake.title}\n\n${sent}\n\n\`\`\`json\n${await answerTo(mistake)}\n\`\`\`\n`;
    }
    const [before = ''] = (await readFile(FILE, 'utf8')).split(BEGIN);
    if (process.env.UPDATE_DOCS) await writeFile(FILE, before + made);
    expect(await readFile(FILE, 'utf8')).toBe(before + made);
    expect(await database.query('SELECT FROM queue_tasks')).toEqual([]);
  });

  it('have codes that the page lists, each with what it means and what to do', async () => {
    const text = await readFile(FILE, 'utf8');
    const listed = [...text.matchAll(/^\| `(\w+)` \| (\d+) \| (.*?) \| (.*?) \|$/gm)].map(([, ...cells]) => cells);
    const registered = Object.entries(ERROR_CODES).map(([code, { status, title, action }]) => [
      code,
      String(status),
      title,
      action,
    ]);
    expect(listed).toEqual(registered);
  });
});

/** The lines that differ from a good document, with the one before. */
function shownPart(body: string): string {
  const good = GOOD.split('\n');
  const lines = body.split('\n');
  const first = lines.findIndex((line, index) => line !== good[index]);
  if (first === -1) return 'A good document.';
  return `\`\`\`yaml\n${lines
    .slice(Math.max(0, first - 1), first + 3)
    .join('\n')
    .trimEnd()}\n\`\`\``;
}
