import { brokenInvariants } from '../support/invariant.js';
import { cleanUp, ServiceProcess, TOKEN } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { documentOf } from './documents.js';

const SECRETS = {
  output: 'what-a-step-writes-5150',
  error: 'what-a-step-writes-to-stderr-5151',
  env: 'what-a-step-has-in-its-env-5152',
  script: 'what-stands-in-a-script-5153',
  result: 'what-a-step-hands-on-5154',
};

describe('the log of the service', () => {
  let database: TestDatabase;
  let password: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    password = new URL(database.url).password;
  });

  afterAll(async () => {
    expect(await brokenInvariants((sql, params) => database.query(sql, params))).toEqual([]);
    await database.drop();
  });
  afterEach(cleanUp);

  const start = (env: Record<string, string>) => ServiceProcess.start({ env: { DATABASE_URL: database.url, ...env } });

  /** A task that fails after it has shown all it has; and one that ends well. */
  const runTasks = async (service: ServiceProcess) => {
    const command = `
      : ${SECRETS.script}; env | sort; echo ${SECRETS.output}; echo ${SECRETS.error} >&2
      echo "secret=${SECRETS.result}" >> "$STEP_OUTPUT"
      exit $CODE`;
    const submit = async (code: string) => {
      const headers = { 'X-Request-Id': `request-${code}` };
      const body = JSON.stringify(documentOf([{ command, env: { SECRET: SECRETS.env, CODE: code } }]));
      const answer = await service.post('/api/specs', body, 'application/json', { headers });
      await service.waitForTask(answer.json.task_id as string, code === '0' ? 'completed' : 'failed');
      return answer.json.task_id as string;
    };
    const ids = [await submit('0'), await submit('1')] as const;
    await service.get('/api/tasks', { token: 'a-wrong-key-5155' });
    await service.get(`/api/tasks/${ids[0]}/logs`);
    await service.post('/api/specs', `{"a": "${SECRETS.script}"`, 'application/json');
    return ids;
  };

  const expectNoSecrets = (text: string) => {
    expect(password.length).toBeGreaterThan(20);
    const secrets = [...Object.values(SECRETS), TOKEN, password, 'a-wrong-key-5155'];
    expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
  };

  it('has the facts of each task as fields, and no secret at any level', async () => {
    const service = await start({ LOG_LEVEL: 'trace' });
    const [completed, failed] = await runTasks(service);
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expectNoSecrets(service.stdout + service.stderr);

    const about = (taskId: string) => service.logs().filter((line) => line.task_id === taskId);
    const common = { level: 30, time: expect.stringMatching(/^\d{4}-.*Z$/), pid: service.pid, context: 'Queue' };
    const labels = { app_name: 'demo-app', workflow_name: 'golden-path-deploy-app' };
    const worker_id = service.logs('Async workflow queue initialized with 5 workers')[0]!.worker_id as string;
    const run = { ...common, ...labels, worker_id, attempt: 1 };
    expect(about(completed)).toEqual([
      { ...common, ...labels, msg: 'Task enqueued', task_id: completed, request_id: 'request-0', queue_size: 1 },
      {
        ...{ ...run, msg: 'Processing task', task_id: completed, request_id: 'request-0' },
        ...{ queue_size: 0, queue_time_ms: expect.any(Number) },
      },
      {
        ...{ ...run, msg: 'Task completed', task_id: completed, request_id: 'request-0' },
        execution_time_ms: expect.any(Number),
      },
    ]);
    expect(about(failed).map((line) => line.msg)).toEqual(['Task enqueued', 'Processing task', 'Task failed']);
    expect(about(failed)[2]).toMatchObject({
      ...{ ...labels, worker_id, level: 40, request_id: 'request-1', execution_time_ms: expect.any(Number) },
      ...{ cause: 'step_failed', error: "step 'step-1' ended with exit code 1" },
    });
    // Every line is an object.
    expect(
      service.stdout
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('{')),
    ).toEqual([]);
  });

  it('is readable as lines, where that is asked for, with no secret either', async () => {
    const service = ServiceProcess.launch({ env: { DATABASE_URL: database.url, LOG_FORMAT: 'pretty' } });
    const line = await service.waitForLog(({ msg }) => msg?.includes('Listening on ') ?? false);
    expect(line.msg).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: Listening on http:\/\/127\.0\.0\.1:\d+ /);
    service.listensOn(/http:\S+/.exec(line.msg!)![0]);
    const [completed] = await runTasks(service);
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect(service.stdout).toMatch(new RegExp(`INFO: Task completed .*${completed}`));
    expect(service.stdout).toContain('Task failed');
    expectNoSecrets(service.stdout + service.stderr);
  });
});
