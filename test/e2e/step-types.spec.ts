import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { itWith } from '../support/step-fixture.js';
import { cleanUp, type Json, newFolder, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const EXAMPLES = join(import.meta.dirname, '../../examples/workflows');

/** Answers as a cluster would that has everything. */
const KUBECTL = `#!/bin/bash
case $1 in
  get) echo '{"spec": {"replicas": 2}}' ;;
  *) echo "$1: done" ;;
esac
`;

describe('the document of each step type in examples/workflows', () => {
  let database: TestDatabase;
  let service: ServiceProcess;

  beforeAll(async () => {
    database = await createTestDatabase();
    const dataDir = newFolder();
    const bin = join(dataDir, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'kubectl'), KUBECTL, { mode: 0o755 });
    const PATH = `${bin}:${process.env.PATH}`;
    const env = { DATABASE_URL: database.url, OUTBOUND_ALLOWED_CIDRS: '127.0.0.1', PATH };
    service = await ServiceProcess.start({ dataDir, env });
  });

  afterAll(async () => {
    await cleanUp();
    await database.drop();
  });

  /** The task once it has ended as expected; its steps by name. */
  async function run(type: string, status = 'completed', change = (text: string) => text): Promise<Json> {
    const text = change(readFileSync(join(EXAMPLES, `${type}.yaml`), 'utf8'));
    const answer = await service.post('/api/specs', text, 'application/yaml');
    expect([answer.status, answer.json.errors]).toEqual([202, undefined]);
    const task = await service.waitForTask(answer.json.task_id as string, status, 120_000);
    const steps = (task.steps as Json[]).map((step) => [step.name as string, step] as const);
    return { ...task, steps: Object.fromEntries(steps) };
  }

  it('bash', async () => {
    const { steps } = await run('bash');
    expect(steps.build.outputs).toEqual({ version: '1.2.3' });
  });

  it('http, with what the service says of itself', async () => {
    const { steps } = await run('http', 'completed', (text) => text.replaceAll('http://127.0.0.1:8081', service.url));
    expect(steps['wait-for-health'].outputs).toEqual({ status: '200', body: '{"status":"ok"}', health: 'ok' });
    expect(steps.description.outputs.title).toMatch(/./);
  });

  itWith('terraform', 'terraform', async () => {
    const { steps } = await run('terraform');
    expect(steps.plan.outputs).toEqual({ changed: 'true' });
    expect(JSON.parse(steps.apply.outputs.environment as string)).toEqual({ app: 'demo-app', replicas: 2 });
    expect(steps.apply.outputs).not.toHaveProperty('token');
  });

  it('kubernetes', async () => {
    const { steps } = await run('kubernetes');
    expect(steps.look.outputs).toMatchObject({ replicas: '2' });
  });

  itWith('ansible-playbook', 'ansible', async () => {
    await run('ansible');
  });

  itWith('git', 'git', async () => {
    const { steps } = await run('git');
    expect(steps.push.outputs).toEqual({ commit: steps.commit.outputs.commit, changed: 'true' });
    expect(steps['commit-again'].outputs).toMatchObject({ changed: 'false' });
  });

  it('policy, and what its verdict comes to', async () => {
    await run('policy');
    const task = await run('policy', 'failed', (text) => text.replace('nginx:1.27', 'nginx:latest'));
    expect(task).toMatchObject({
      cause: 'rejected',
      error_message: 'each image must name a version other than latest',
    });
  });

  it.each(['wait', 'noop'])('%s', async (type) => {
    await run(type);
  });

  it('has its mistakes told, each at its place', async () => {
    const text = readFileSync(join(EXAMPLES, 'kubernetes.yaml'), 'utf8')
      .replace('namespace: demo\n    - name: deploy', 'namspace: demo\n    - name: deploy')
      .replace('condition: available', 'conditon: available')
      .replace('timeout: 2m', 'timeout: 2 min');
    const { status, json } = await service.post('/api/specs', text, 'application/yaml');
    expect(status).toBe(422);
    const errors = json.errors as { path: string; line: number; hint: string }[];
    const lineOf = (part: string) => text.split('\n').findIndex((line) => line.includes(part)) + 1;
    expect(errors.map(({ path, line, hint }) => [path, line, hint])).toEqual([
      ['workflow.steps[0].config.namspace', lineOf('namspace:'), "Did you mean 'namespace'?"],
      ['workflow.steps[2].config.conditon', lineOf('conditon:'), "Did you mean 'condition'?"],
      [
        'workflow.steps[2].config.timeout',
        lineOf('timeout: 2 min'),
        expect.stringContaining('It must be a time above zero'),
      ],
    ]);
  });
});
