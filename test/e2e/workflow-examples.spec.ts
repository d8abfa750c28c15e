import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brokenInvariants } from '../support/invariant.js';
import { cleanUp, type Json, ServiceProcess } from '../support/service-process.js';
import { until } from '../support/until.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const EXAMPLES = fileURLToPath(new URL('../../examples/workflows/', import.meta.url));
const example = (name: string) => readFileSync(join(EXAMPLES, `${name}.yaml`), 'utf8');

/** The step's status, or its status and more that is expected of it. */
type Expected = Record<string, string | Record<string, unknown>>;

const completed: Record<string, { steps: Expected; outputs?: Record<string, string> }> = {
  conditions: {
    steps: {
      migrate: 'completed',
      seed: 'completed',
      tests: 'completed',
      canary: { status: 'skipped', error_message: expect.stringContaining("($VERSION is 'v2.1.0')") },
      'page-the-team': { status: 'skipped', error_message: 'no step before it failed (when: on_failure)' },
    },
  },
  dag: { steps: { 'build-api': 'completed', 'test-api': 'completed', release: 'completed' } },
  named: { steps: { deploy: 'completed' } },
  parallel: { steps: { lint: 'completed', scan: 'completed', 'deploy-us': 'completed' } },
  variables: {
    steps: { build: { outputs: { version: '1.4.2', size: '12', commit: 'abc123', notes: 'first line\nsecond line' } } },
    outputs: { image: 'registry.example.com/variables-demo:1.4.2' },
  },
};

describe('the examples of workflows', () => {
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

  afterEach(async () => {
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
  });

  async function submit(name: string): Promise<string> {
    const answer = await service.post('/api/specs', example(name), 'application/yaml');
    expect([answer.status, answer.json.errors]).toEqual([202, undefined]);
    return answer.json.task_id as string;
  }

  const ended = async (taskId: string): Promise<Json> => (await service.get(`/api/tasks/${taskId}?wait=60s`)).json;
  const verb = (taskId: string, name: string, body: object) =>
    service.post(`/api/tasks/${taskId}/${name}`, JSON.stringify(body), 'application/json');
  const becomes = (taskId: string, status: string) => service.waitForTask(taskId, status);
  const stepsOf = (task: Json): Expected => Object.fromEntries(task.steps.map((step: Json) => [step.name, step]));

  it.each(Object.entries(completed))('%s completes', async (name, { steps, outputs }) => {
    const task = await ended(await submit(name));
    expect([task.status, task.error_message]).toEqual(['completed', null]);
    const found = stepsOf(task);
    for (const [step, expected] of Object.entries(steps)) {
      expect(found[step]).toMatchObject(typeof expected === 'string' ? { status: expected } : expected);
    }
    if (outputs) expect(task.outputs).toEqual(outputs);
  });

  it('failure tries again, tolerates, cleans up, and fails all the same', async () => {
    const task = await ended(await submit('failure'));
    expect(task).toMatchObject({ status: 'failed', cause: 'step_failed' });
    expect(task.error_message).toBe("step 'deploy' ended with exit code 7");
    expect(stepsOf(task)).toMatchObject({
      flaky: { status: 'completed', tries: 3 },
      lint: { status: 'failed' },
      never: { status: 'skipped', error_message: "step 'deploy' before it failed" },
      undo: { status: 'completed' },
      clean: { status: 'completed' },
    });
  });

  it('approval waits without a worker, and goes on where it stood', async () => {
    const taskId = await submit('approval');
    await becomes(taskId, 'waiting');
    const waiting = (await service.get(`/api/tasks/${taskId}`)).json;
    expect(stepsOf(waiting)).toMatchObject({
      build: { status: 'completed' },
      ask: { status: 'waiting', waits_for: { message: 'Deploy 1.4.2 to production?', count: 1, decisions: [] } },
      deploy: { status: 'pending' },
    });
    expect((await verb(taskId, 'approve', { step: 'build' })).status).toBe(409);
    expect((await verb(taskId, 'approve', { step: 'aks' })).status).toBe(422);
    expect((await verb(taskId, 'approve', { comment: 'looks good' })).status).toBe(202);
    const task = await ended(taskId);
    expect(task).toMatchObject({ status: 'completed', attempt: 2, failures: 0 });
    expect(stepsOf(task)).toMatchObject({
      build: { attempt: 1 },
      ask: { outputs: { approved_by: 'admin' }, waits_for: { decisions: [{ actor: 'admin', comment: 'looks good' }] } },
      deploy: { status: 'completed', attempt: 2 },
    });
    const log = (await service.get(`/api/tasks/${taskId}/logs`)).text;
    expect(log).toBe('deploying 1.4.2, approved by admin\n');
    expect((await verb(taskId, 'approve', {})).json).toMatchObject({ status: 409, code: 'illegal_transition' });
  });

  it('approval that is rejected fails the task', async () => {
    const taskId = await submit('approval');
    await becomes(taskId, 'waiting');
    expect((await verb(taskId, 'reject', { comment: 'not on a Friday' })).status).toBe(202);
    expect(await ended(taskId)).toMatchObject({
      status: 'failed',
      cause: 'rejected',
      error_message: "step 'ask' was rejected by admin: not on a Friday",
    });
  });

  it('manual begins when it is approved', async () => {
    const taskId = await submit('manual');
    await becomes(taskId, 'waiting');
    await verb(taskId, 'approve', {});
    expect(stepsOf(await ended(taskId))).toMatchObject({ production: { status: 'completed' } });
  });

  it('resume goes on at the step that failed, in the folder of the run before', async () => {
    const taskId = await submit('resume');
    expect(await ended(taskId)).toMatchObject({ status: 'failed' });
    expect((await verb(taskId, 'retry', {})).status).toBe(202);
    const task = await ended(taskId);
    expect(task).toMatchObject({ status: 'completed', attempt: 2 });
    expect(stepsOf(task)).toMatchObject({ build: { attempt: 1 }, deploy: { attempt: 2 }, verify: { attempt: 2 } });
  });

  it('resume takes a corrected document and a step to begin at, and the ledger keeps the difference', async () => {
    const taskId = await submit('resume');
    await ended(taskId);
    const wrong = await verb(taskId, 'retry', { from_step: 'biuld' });
    expect(wrong.json).toMatchObject({ code: 'invalid_parameter', errors: [{ hint: "Did you mean 'build'?" }] });
    const broken = await verb(taskId, 'retry', { spec: example('resume').replace('type: bash', 'type: bsh') });
    expect(broken.json).toMatchObject({ code: 'invalid_document', errors: [{ path: 'workflow.steps[0].type' }] });
    const spec = example('resume').replace('[ "$ATTEMPT" -gt 1 ]', 'echo corrected');
    expect((await verb(taskId, 'retry', { spec, from_step: 'build' })).status).toBe(202);
    const task = await ended(taskId);
    expect(task).toMatchObject({ status: 'completed' });
    expect(stepsOf(task)).toMatchObject({ build: { attempt: 2 }, deploy: { attempt: 2 } });
    const { events } = (await service.get(`/api/tasks/${taskId}/events`)).json;
    const redriven = events.find((event: Json) => event.cause === 'redriven');
    expect(redriven.detail).toMatchObject({
      from_step: 'build',
      changes: [{ path: 'workflow.steps.1.config.command', to: expect.stringContaining('echo corrected') }],
    });
  });

  const reaches = async (taskId: string, step: string, status: string) => {
    let found: string | undefined;
    await until(`${step} is ${status}`, async () => {
      const task = (await service.get(`/api/tasks/${taskId}`)).json;
      found = task.steps.find(({ name }: Json) => name === step)?.status;
      return found === status;
    });
  };

  it('cleanup is done when the task is cancelled while it runs', async () => {
    const taskId = await submit('cleanup');
    await reaches(taskId, 'test', 'running');
    const answer = await verb(taskId, 'cancel', { reason: 'wrong branch' });
    expect([answer.status, answer.json.cancel_requested]).toEqual([202, true]);
    const task = await ended(taskId);
    expect(task).toMatchObject({
      ...{ status: 'cancelled', cause: 'cancelled', error_message: 'cancelled by admin: wrong branch' },
      ...{ attempt: 1, failures: 0, cancel_requested: false },
    });
    expect(stepsOf(task)).toMatchObject({
      create: { status: 'completed' },
      test: { status: 'cancelled', cause: 'cancelled' },
      report: { status: 'skipped', cause: 'cancelled', error_message: 'the task was cancelled' },
      remove: { status: 'completed' },
    });
    const preview = `preview-${taskId}`;
    const log = (await service.get(`/api/tasks/${taskId}/logs`)).text;
    expect(log).toBe(`testing ${preview}\nremoving ${preview}\n`);
  });

  it('cleanup is done when the time of the task is up, and it is tried again for nothing else', async () => {
    const text = example('cleanup').replace('timeout: 1h', 'timeout: 2s').replace('max_attempts: 3', 'max_attempts: 2');
    const quick = text.replace('retry_on:', 'backoff: {type: fixed, initial: 0}\n    retry_on:');
    const answer = await service.post('/api/specs', quick, 'application/yaml');
    const task = await ended(answer.json.task_id);
    expect(task).toMatchObject({ status: 'failed', cause: 'timeout', attempt: 2, failures: 2 });
    expect(stepsOf(task)).toMatchObject({ test: { status: 'cancelled' }, remove: { status: 'completed', attempt: 2 } });
    const once = text.replace('sleep 600', 'false');
    const failing = await service.post('/api/specs', once, 'application/yaml');
    expect(await ended(failing.json.task_id)).toMatchObject({ status: 'failed', cause: 'step_failed', failures: 1 });
  });

  it('cleanup is done when a task is cancelled that waits for its next attempt', async () => {
    const text = example('cleanup')
      .replace('sleep 600', 'false')
      .replace('retry_on: [timeout]', 'backoff: {type: fixed, initial: 1h, jitter: none}');
    const taskId = (await service.post('/api/specs', text, 'application/yaml')).json.task_id as string;
    await becomes(taskId, 'retrying');
    expect((await verb(taskId, 'cancel', {})).json.cancel_requested).toBe(true);
    const task = await ended(taskId);
    expect(task).toMatchObject({ status: 'cancelled', cause: 'cancelled', attempt: 2, failures: 1 });
    expect(stepsOf(task)).toMatchObject({
      create: { status: 'completed', attempt: 1 },
      test: { status: 'failed', attempt: 1 },
      remove: { status: 'completed', attempt: 2 },
    });
    const { events } = (await service.get(`/api/tasks/${taskId}/events`)).json;
    const way = events.filter((event: Json) => event.kind === 'transition').map((event: Json) => event.to_status);
    expect(way).toEqual(['pending', 'running', 'retrying', 'pending', 'running', 'cancelled']);
    expect(events).toContainEqual(
      expect.objectContaining({
        kind: 'operator',
        cause: 'cancel_requested',
        detail: { reason: 'cancelled by admin' },
      }),
    );
  });

  it('can all be looked at before they run', async () => {
    for (const file of readdirSync(EXAMPLES)) {
      const before = await database.query('SELECT count(*) FROM queue_tasks');
      const answer = await service.post(
        '/api/specs?dry_run=true',
        readFileSync(join(EXAMPLES, file)),
        'application/yaml',
      );
      expect([file, answer.status]).toEqual([file, 200]);
      expect(answer.json).toMatchObject({ golden_path: 'deploy-app', parameters: expect.anything() });
      expect(await database.query('SELECT count(*) FROM queue_tasks')).toEqual(before);
    }
    const plan = (await service.post('/api/specs?dry_run=true', example('dag'), 'application/yaml')).json;
    expect(plan.steps.map((step: Json) => [step.name, step.depends_on])).toEqual([
      ['build-api', []],
      ['build-web', []],
      ['test-api', ['build-api']],
      ['release', ['test-api', 'build-web']],
    ]);
    expect(plan.problems).toEqual([]);
  });
});
