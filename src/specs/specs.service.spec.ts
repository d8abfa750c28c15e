import { Test } from '@nestjs/testing';
import { parse } from 'yaml';
import type { Principal } from '../auth/principal.js';
import { Settings } from '../config/settings.js';
import { GoldenPathsService } from '../golden-paths/golden-paths.service.js';
import { InvalidTaskError } from '../queue/new-task.js';
import { AppQueueFullError, QueueFullError } from '../queue/backpressure.js';
import { IdempotencyConflictError, type Enqueued } from '../queue/idempotency.js';
import { QueueBusyError } from '../queue/enqueue-batcher.js';
import { QueueService } from '../queue/queue.service.js';
import { QueueDrainingError } from '../queue/queue-errors.js';
import type { StepRules } from '../workflows/reading/read-workflow.js';
import { StepRegistry } from '../workflows/step-registry.js';
import { specOf, type WorkflowSpec } from '../workflows/workflow.js';
import { type CallbackMetadata, TaskCallbacks } from '../workflows/task-callbacks.js';
import { EXAMPLE_SUBMISSION } from './example-submission.js';
import { ExecutionPlanner } from './execution-planner.js';
import type { RequestKey } from './idempotency-key.js';
import { SpecsService } from './specs.service.js';
import { SubmissionPlanner } from './submission-planner.js';
import { SubmissionQuery } from './submission-query.js';

type Prepared = ReturnType<GoldenPathsService['prepare']>;

const OWN_STEP = { name: 'own', type: 'bash', env: {}, config: {} };
const SCORE = { apiVersion: 'score.dev/v1b1', metadata: { name: 'shop' }, containers: { web: { image: 'x' } } };
const TASK_ID = 'task-01a20575-5554-7463-9141-8018d9736482';

const JANE: Principal = { name: 'jane', roles: ['author'] };

interface Changes {
  readonly caller?: Principal;
  readonly body?: string;
  readonly contentType?: string;
  readonly query?: Partial<SubmissionQuery>;
  readonly idempotency?: RequestKey;
}

async function setup(settings: Partial<Settings> = {}) {
  const queue = {
    enqueue: jest.fn(async (_task: Record<string, unknown>): Promise<Enqueued> => ({
      taskId: TASK_ID,
      replayed: false,
    })),
    recall: jest.fn(async (_asked: object): Promise<Enqueued | undefined> => undefined),
  };
  const validate = jest.fn(() => [] as { path: string[]; message: string }[]);
  const rules: StepRules = { stepTypes: ['bash'], validateConfig: validate, scriptsOf: () => [], maxSteps: 10 };
  const goldenPaths = {
    get: (name: string) => ({ name, parameters: { replicas: {} }, workflow: { steps: [OWN_STEP] } }),
    prepare: jest.fn((): Prepared => ({ parameters: { replicas: '2' }, problems: [] })),
  };
  const metadata: CallbackMetadata = { callback_id: 'callback-1', callback_url: 'http://ci.test/?***' };
  const callbacks = {
    check: jest.fn(async (_url: string): Promise<void> => undefined),
    register: jest.fn(async (_url: string) => metadata),
    forget: jest.fn(async (_callback: CallbackMetadata): Promise<void> => undefined),
  };
  const module = await Test.createTestingModule({
    providers: [
      SpecsService,
      SubmissionPlanner,
      ExecutionPlanner,
      { provide: QueueService, useValue: queue },
      { provide: GoldenPathsService, useValue: goldenPaths },
      { provide: StepRegistry, useValue: { rules: () => rules, missingPrograms: async () => ['bash'], whereToLook: '' } },
      { provide: TaskCallbacks, useValue: callbacks },
      { provide: Settings, useValue: Object.assign(new Settings(), settings) },
    ],
  }).compile();
  const request = (changes: Changes = {}) =>
    module.get(SpecsService).submit({
      body: Buffer.from(changes.body ?? EXAMPLE_SUBMISSION),
      contentType: changes.contentType ?? 'application/yaml',
      query: Object.assign(new SubmissionQuery(), changes.query),
      caller: changes.caller ?? JANE,
      requestId: 'request-1',
      ...(changes.idempotency ? { idempotency: changes.idempotency } : {}),
    });
  const submit = async (changes?: Changes) => (await request(changes)).body;
  const executed = (body: unknown, query: Partial<SubmissionQuery> = {}, caller = JANE) =>
    module.get(SpecsService).execute('db-lifecycle', {
      body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
      contentType: typeof body === 'string' ? 'application/yaml' : 'application/json',
      query: Object.assign(new SubmissionQuery(), query),
      caller,
      requestId: 'request-1',
    });
  const execute = async (body: unknown, query?: Partial<SubmissionQuery>, caller?: Principal) =>
    (await executed(body, query, caller)).body;
  const planner = module.get(SubmissionPlanner);
  const executions = module.get(ExecutionPlanner);
  return { request, submit, execute, queue, callbacks, validate, goldenPaths, planner, executions };
}

describe('a correction of a task', () => {
  const owner = { appName: 'demo-app', goldenPath: 'deploy-app', parameters: { replicas: '2', empty: '' } };

  it('becomes the document that the task runs by, with the parameters it had', async () => {
    const { planner, goldenPaths } = await setup();
    expect(planner.read(EXAMPLE_SUBMISSION, owner)).toMatchObject({
      workflow: { steps: [{ name: 'simulate-work' }] },
      score: { metadata: { name: 'demo-app' } },
      parameters: { replicas: '2' },
    });
    expect(goldenPaths.prepare).toHaveBeenCalledWith(expect.anything(), { replicas: '2' }, 'parameters.', undefined);
  });

  it('is refused where it is of another application', async () => {
    const { planner } = await setup();
    expect(() => planner.read(EXAMPLE_SUBMISSION, { ...owner, appName: 'shop' })).toThrow(
      expect.objectContaining({
        code: 'invalid_document',
        errors: [expect.objectContaining({ path: 'metadata.name' })],
      }),
    );
  });
});

describe('SpecsService', () => {
  it('answers a dry run with the plan, and stores nothing', async () => {
    const { submit, queue } = await setup();
    expect(await submit({ query: { dry_run: 'true' } })).toEqual({
      golden_path: 'deploy-app',
      workflow_name: 'golden-path-deploy-app',
      parameters: { replicas: '2' },
      steps: [{ name: 'simulate-work', type: 'bash', depends_on: [] }],
      problems: ["step 'simulate-work' needs bash, which is not on this instance"],
    });
    expect(queue.enqueue).not.toHaveBeenCalled();
  });

  it('makes a task of the document and answers with its id', async () => {
    const { submit, queue } = await setup();
    expect(await submit()).toEqual({
      message: "Golden path 'deploy-app' enqueued successfully",
      application: 'demo-app',
      golden_path: 'deploy-app',
      workflow_name: 'golden-path-deploy-app',
      task_id: TASK_ID,
      status: 'enqueued',
      links: {
        task: `/api/tasks/${TASK_ID}`,
        logs: `/api/tasks/${TASK_ID}/logs`,
        events: `/api/tasks/${TASK_ID}/events`,
      },
    });
    const task = queue.enqueue.mock.calls[0]![0];
    expect(task).toMatchObject({
      appName: 'demo-app',
      workflowName: 'golden-path-deploy-app',
      metadata: { user: 'jane', source: 'api', golden_path: 'deploy-app', labels: {} },
      requestId: 'request-1',
      workflowSpec: { workflow: { steps: [{ name: 'simulate-work', type: 'bash' }] } },
    });
    expect((task.workflowSpec as { score: object }).score).not.toHaveProperty('workflow');
  });

  it('hands every parameter on', async () => {
    const { submit, queue } = await setup();
    const query = {
      golden_path: 'db-lifecycle',
      priority: 'low' as const,
      start_within: 90,
      run_at: '2026-01-31T13:00:00Z',
      max_attempts: 3,
      timeout: 60,
      labels: { team: 'a' },
    };
    expect(await submit({ query })).toMatchObject({ workflow_name: 'golden-path-db-lifecycle' });
    expect(queue.enqueue.mock.calls[0]![0]).toMatchObject({
      goldenPath: 'db-lifecycle',
      priority: 'low',
      startWithinSeconds: 90,
      runAt: new Date('2026-01-31T13:00:00Z'),
      maxAttempts: 3,
      timeoutSeconds: 60,
      metadata: { labels: { team: 'a' } },
    });
  });

  it('takes timeout and attempts from the workflow where the address has none', async () => {
    const { submit, queue } = await setup();
    const body = EXAMPLE_SUBMISSION.replace('workflow:\n', 'workflow:\n  timeout: 30m\n  retry: 5\n');
    await submit({ body });
    await submit({ body, query: { timeout: 60, max_attempts: 1 } });
    expect(queue.enqueue.mock.calls.map(([task]) => [task.timeoutSeconds, task.maxAttempts])).toEqual([
      [1800, 5],
      [60, 1],
    ]);
  });

  it('stores nothing where the document is wrong', async () => {
    const { submit, queue, validate } = await setup();
    await expect(submit({ body: 'a: [' })).rejects.toMatchObject({ code: 'malformed_yaml' });
    await expect(submit({ body: 'a: b' })).rejects.toMatchObject({ code: 'invalid_document' });
    await expect(submit({ contentType: 'text/plain' })).rejects.toMatchObject({ code: 'unsupported_media_type' });
    validate.mockReturnValue([{ path: ['command'], message: 'is missing' }]);
    await expect(submit()).rejects.toMatchObject({
      code: 'invalid_document',
      errors: [{ path: 'workflow.steps[0].config.command', line: expect.any(Number) }],
    });
    expect(queue.enqueue).not.toHaveBeenCalled();
  });

  it('runs the golden path´s own steps where the document has none', async () => {
    const { submit, queue, goldenPaths } = await setup();
    const body = EXAMPLE_SUBMISSION.slice(0, EXAMPLE_SUBMISSION.indexOf('workflow:'));
    await submit({ body, query: { parameters: { replicas: '2' } } });
    const scope: unknown = expect.objectContaining({ lookUp: expect.any(Function) });
    const path: unknown = expect.objectContaining({ name: 'deploy-app' });
    expect(goldenPaths.prepare).toHaveBeenCalledWith(path, { replicas: '2' }, 'param.', scope);
    expect(queue.enqueue.mock.calls[0]![0]).toMatchObject({
      workflowSpec: { workflow: { steps: [OWN_STEP] }, parameters: { replicas: '2' } },
    });
  });

  it('keeps the references of a workflow in the document as they are, once they are checked', async () => {
    const { submit, queue, goldenPaths } = await setup();
    const env = 'env: {APP: "${metadata.name}", N: "${parameters.replicas}", SHELL_OWN: "${HOME}"}';
    await submit({ body: EXAMPLE_SUBMISSION.replace('      config:', `      ${env}\n      config:`) });
    expect(queue.enqueue.mock.calls[0]![0]).toMatchObject({
      workflowSpec: { workflow: { steps: [{ env: { APP: '${metadata.name}', N: '${parameters.replicas}' } }] } },
    });
    // What the golden path's own workflow would need is not asked for.
    expect(goldenPaths.prepare).toHaveBeenCalledWith(expect.anything(), {}, 'param.', undefined);
    const wrong = EXAMPLE_SUBMISSION.replace('      config:', '      env: {X: "${build.version}"}\n      config:');
    await expect(submit({ body: wrong })).rejects.toMatchObject({
      code: 'invalid_document',
      errors: [{ path: 'workflow.steps[0].env.X', message: expect.stringContaining("'${build.version}' refers to") }],
    });
  });

  it('tells the problems of parameters', async () => {
    const { submit, queue, goldenPaths } = await setup();
    const problem = { path: 'param.replicas', message: 'must be a whole number' };
    goldenPaths.prepare.mockReturnValue({ parameters: {}, problems: [problem] });
    await expect(submit()).rejects.toMatchObject({ code: 'invalid_parameter', errors: [problem] });
    expect(queue.enqueue).not.toHaveBeenCalled();
  });

  describe('under an idempotency key', () => {
    const idempotency = { key: 'k', bodyHash: 'h' };
    const facts = { application: 'then', golden_path: 'old', workflow_name: 'golden-path-old' };

    it('hands it on, as the caller’s own, with what the answer says', async () => {
      const { request, queue } = await setup();
      expect((await request({ idempotency })).replayed).toBe(false);
      expect(queue.enqueue.mock.calls[0]![0].idempotency).toEqual({
        principal: 'jane',
        ...idempotency,
        facts: { application: 'demo-app', golden_path: 'deploy-app', workflow_name: 'golden-path-deploy-app' },
      });
    });

    it('gives the first answer again', async () => {
      const { request, queue } = await setup();
      queue.enqueue.mockResolvedValue({ taskId: 'task-0', replayed: true, facts });
      expect(await request({ idempotency })).toMatchObject({
        replayed: true,
        body: { ...facts, task_id: 'task-0', message: "Golden path 'old' enqueued successfully" },
      });
    });

    it('gives it also where the request would not be accepted any more', async () => {
      const { request, queue } = await setup();
      const wrong = { body: 'a: b', idempotency };
      await expect(request(wrong)).rejects.toMatchObject({ code: 'invalid_document' });
      queue.recall.mockResolvedValue({ taskId: 'task-0', replayed: true, facts });
      expect(await request(wrong)).toMatchObject({ replayed: true, body: { ...facts, task_id: 'task-0' } });
      expect(queue.recall).toHaveBeenCalledWith({ ...idempotency, principal: 'jane' });
      queue.recall.mockRejectedValue(new IdempotencyConflictError('k', 'task-0'));
      await expect(request(wrong)).rejects.toMatchObject({ code: 'idempotency_key_reused', status: 409 });
    });

    it('answers a dry run as without one', async () => {
      const { request, queue } = await setup();
      expect(await request({ idempotency, query: { dry_run: 'true' } })).toMatchObject({ replayed: false });
      const wrong = request({ body: 'a: b', idempotency, query: { dry_run: 'true' } });
      await expect(wrong).rejects.toMatchObject({ code: 'invalid_document' });
      expect(queue.enqueue).not.toHaveBeenCalled();
      expect(queue.recall).not.toHaveBeenCalled();
    });
  });

  it.each([
    [new QueueFullError(5, 17), 'queue_full', 503, '17'],
    [new AppQueueFullError('shop', 5, 9), 'app_queue_full', 429, '9'],
  ])('says when to come again: %s', async (error, code, status, after) => {
    const { submit, queue } = await setup();
    queue.enqueue.mockRejectedValue(error);
    await expect(submit()).rejects.toMatchObject({ code, status, headers: { 'Retry-After': after } });
  });

  describe('execute', () => {
    it('takes no more than a name and parameters', async () => {
      const { execute, queue, goldenPaths } = await setup();
      const body = { app_name: 'shop', parameters: { operation: 'backup' }, labels: { team: 'a' } };
      expect(await execute(body)).toMatchObject({ application: 'shop', golden_path: 'db-lifecycle' });
      expect(goldenPaths.prepare).toHaveBeenCalledWith(
        expect.objectContaining({ name: 'db-lifecycle' }),
        { operation: 'backup' },
        'parameters.',
        expect.objectContaining({ lookUp: expect.any(Function) }),
      );
      expect(queue.enqueue.mock.calls[0]![0]).toMatchObject({ appName: 'shop', metadata: { labels: { team: 'a' } } });
    });

    it('takes a Score document, alone or beside parameters', async () => {
      const { execute, queue } = await setup();
      expect(await execute(EXAMPLE_SUBMISSION)).toMatchObject({ application: 'demo-app' });
      expect(await execute(SCORE)).toMatchObject({ application: 'shop' });
      expect(await execute({ spec: SCORE })).toMatchObject({ application: 'shop' });
      expect(await execute({ spec: SCORE, app_name: 'other' })).toMatchObject({ application: 'other' });
      expect(queue.enqueue.mock.calls.at(-1)![0]).toMatchObject({
        workflowSpec: { score: { metadata: { name: 'other' } } },
      });
    });

    it.each<[unknown, string]>([
      [{}, 'app_name'],
      [{ app_name: 'Shop' }, 'app_name'],
      [{ app_name: 'shop', parameters: [] }, 'parameters'],
      [{ app_name: 'shop', labels: 'x' }, 'labels'],
      [{ app_name: 'shop', labels: { '-': 'x' } }, 'label.-'],
      [{ app_name: 'shop', parametres: {} }, 'parametres'],
      [{ spec: { ...SCORE, containers: {} } }, 'spec.containers'],
      [{ spec: 5 }, 'spec'],
    ])('refuses %j', async (body, path) => {
      const { execute, queue } = await setup();
      await expect(execute(body)).rejects.toMatchObject({
        code: 'invalid_document',
        errors: expect.arrayContaining([expect.objectContaining({ path })]),
      });
      expect(queue.enqueue).not.toHaveBeenCalled();
    });

    it('refuses two answers to one question', async () => {
      const { execute } = await setup();
      const twice = execute({ app_name: 'shop', parameters: { a: '1' } }, { parameters: { a: '2' } });
      await expect(twice).rejects.toMatchObject({ errors: [{ path: 'param.a' }] });
      const other = execute({ app_name: 'shop' }, { golden_path: 'deploy-app' });
      await expect(other).rejects.toMatchObject({ errors: [{ path: 'golden_path' }] });
    });
  });

  it.each([
    [new InvalidTaskError('metadata', 'holds NUL'), { code: 'invalid_document' }],
    [new QueueDrainingError(), { code: 'draining', headers: { 'Retry-After': '5' } }],
    [new QueueBusyError(), { code: 'service_unavailable', headers: { 'Retry-After': '1' } }],
    [new Error('boom'), { message: 'boom' }],
  ])('answers the queue´s %p', async (error, expected) => {
    const { submit, queue } = await setup();
    queue.enqueue.mockRejectedValue(error);
    await expect(submit()).rejects.toMatchObject(expected);
  });
});

describe('a callback', () => {
  const query = { callback_url: 'http://ci.test/?token=1' };

  it('is checked and kept before its task, which names it without its query', async () => {
    const { submit, callbacks, queue } = await setup();
    await submit({ query });
    expect(callbacks.check).toHaveBeenCalledWith('http://ci.test/?token=1');
    expect(queue.enqueue.mock.calls[0]![0]).toMatchObject({
      metadata: { user: 'jane', callback_id: 'callback-1', callback_url: 'http://ci.test/?***' },
    });
    expect(callbacks.register.mock.invocationCallOrder[0]).toBeLessThan(queue.enqueue.mock.invocationCallOrder[0]!);
    expect(callbacks.forget).not.toHaveBeenCalled();
  });

  it('that must not be called keeps the task from being stored; a dry run only checks it', async () => {
    const { submit, callbacks, queue } = await setup();
    await submit({ query: { ...query, dry_run: 'true' } });
    callbacks.check.mockRejectedValue(new Error('not this one'));
    await expect(submit({ query })).rejects.toThrow('not this one');
    expect([callbacks.register, queue.enqueue].map(({ mock }) => mock.calls.length)).toEqual([0, 0]);
  });

  it('goes where no task was stored, and stays where nobody knows', async () => {
    const { submit, callbacks, queue } = await setup();
    queue.enqueue.mockRejectedValueOnce(new InvalidTaskError('metadata', 'is wrong'));
    await expect(submit({ query })).rejects.toThrow();
    queue.enqueue.mockResolvedValueOnce({ taskId: TASK_ID, replayed: true });
    await submit({ query });
    expect(callbacks.forget).toHaveBeenCalledTimes(2);
    queue.enqueue.mockRejectedValueOnce(new Error('Connection terminated'));
    await expect(submit({ query })).rejects.toThrow();
    expect(callbacks.forget).toHaveBeenCalledTimes(2);
  });
});

describe('a caller', () => {
  const BARE = 'apiVersion: score.dev/v1b1\nmetadata:\n  name: shop\ncontainers:\n  web:\n    image: x\n';
  const eve = (changes: Partial<Principal> = {}): Principal => ({ name: 'eve', roles: ['submitter'], ...changes });

  it('who may only run golden paths may not bring steps of its own, and learns what to do', async () => {
    const { submit, queue } = await setup();
    await expect(submit({ caller: eve() })).rejects.toMatchObject({
      code: 'inline_steps_forbidden',
      detail: expect.stringMatching(
        /^'eve' may run golden paths only.*send it without 'workflow'.*role author or admin$/,
      ),
    });
    expect(queue.enqueue).not.toHaveBeenCalled();
    await submit({ caller: eve(), body: BARE });
    expect(queue.enqueue).toHaveBeenCalledTimes(1);
    await submit({ caller: eve({ roles: ['submitter', 'author'] }) });
    expect(queue.enqueue).toHaveBeenCalledTimes(2);
  });

  it('of whatever role brings none where they are switched off', async () => {
    const { submit, planner, executions } = await setup({ INLINE_WORKFLOWS: 'off' });
    const off = { code: 'inline_steps_forbidden', detail: expect.stringContaining('switched off') };
    await expect(submit({ caller: eve({ roles: ['admin'] }) })).rejects.toMatchObject(off);
    await submit({ caller: eve(), body: BARE });
    // Nor do a schedule that is due, and the correction of a task.
    const owner = { appName: 'demo-app', goldenPath: 'deploy-app', parameters: {} };
    expect(() => planner.read(EXAMPLE_SUBMISSION, owner)).toThrow(expect.objectContaining(off));
    const spec = parse(EXAMPLE_SUBMISSION) as Record<string, unknown>;
    const request = { goldenPath: 'deploy-app', parameters: {}, labels: {}, spec };
    expect(() => executions.plan(request)).toThrow(expect.objectContaining(off));
    // Nor does one that was let in before run again.
    const detail = expect.stringContaining("retry it with a 'spec' without 'workflow'") as string;
    expect(() => planner.admitOwnSteps({ goldenPath: null })).toThrow(expect.objectContaining({ ...off, detail }));
  });

  it('notes whose the steps are, for who retries them later', async () => {
    const { submit, queue, planner } = await setup();
    const specs = () => queue.enqueue.mock.calls.map(([{ workflowSpec }]) => (workflowSpec as WorkflowSpec).inline);
    await submit();
    await submit({ body: BARE });
    expect(specs()).toEqual([true, undefined]);
    expect(specOf({ ...(queue.enqueue.mock.calls[0]![0].workflowSpec as WorkflowSpec) }).inline).toBe(true);
    planner.admitOwnSteps({ goldenPath: 'deploy-app' });
    planner.admitOwnSteps({ goldenPath: 'deploy-app', caller: JANE });
    const lost = () => planner.admitOwnSteps({ goldenPath: 'deploy-app', caller: { ...JANE, roles: ['submitter'] } });
    expect(lost).toThrow(expect.objectContaining({ code: 'inline_steps_forbidden' }));
  });

  it('with scopes submits for its applications only, whatever way the name comes', async () => {
    const { submit, execute, queue } = await setup();
    const caller = eve({ scopes: ['frontend-*'] });
    const detail = "'eve' is for the application frontend-* only, and not for the application 'shop'";
    await expect(submit({ caller, body: BARE })).rejects.toMatchObject({ code: 'out_of_scope', detail });
    await expect(execute({ app_name: 'shop' }, {}, caller)).rejects.toMatchObject({ code: 'out_of_scope' });
    await expect(
      execute({ app_name: 'shop', spec: { ...SCORE, metadata: { name: 'frontend-web' } } }, {}, caller),
    ).rejects.toMatchObject({ code: 'out_of_scope' });
    expect(queue.enqueue).not.toHaveBeenCalled();
    await execute({ app_name: 'frontend-web', spec: SCORE }, {}, caller);
    expect(queue.enqueue).toHaveBeenCalledTimes(1);
  });

  it('with scopes holds no concurrency key of others', async () => {
    const { submit, queue } = await setup();
    const caller = eve({ scopes: ['sh*'] });
    for (const key of ['prod', 'shops', 'shop2:x']) {
      const refused = submit({ caller, body: BARE, query: { concurrency_key: key } });
      await expect(refused).rejects.toMatchObject({ code: 'out_of_scope', errors: [{ path: 'concurrency_key' }] });
    }
    await submit({ caller, body: BARE, query: { concurrency_key: 'shop' } });
    await submit({ caller, body: BARE, query: { concurrency_key: 'shop:db' } });
    expect(queue.enqueue).toHaveBeenCalledTimes(2);
  });

  it('without the right to cancel takes the place of no task of another application by its concurrency key', async () => {
    const { submit, execute, queue } = await setup();
    const query = { concurrency_key: 'prod' };
    for (const roles of [['submitter'], ['author'], ['author', 'approver', 'viewer']] as const) {
      const refused = {
        code: 'role_required',
        errors: [{ path: 'concurrency_key', hint: "For example 'shop:prod'." }],
      };
      await expect(submit({ caller: eve({ roles }), body: BARE, query })).rejects.toMatchObject(refused);
      await expect(execute({ app_name: 'shop', spec: SCORE }, query, eve({ roles }))).rejects.toMatchObject(refused);
    }
    await submit({ caller: eve(), body: BARE, query: { concurrency_key: 'shop:prod' } });
    expect(queue.enqueue).toHaveBeenCalledTimes(1);
    await submit({ caller: eve({ roles: ['submitter', 'operator'] }), body: BARE, query });
    await submit({ caller: eve({ roles: ['admin'] }), body: BARE, query });
    expect(queue.enqueue).toHaveBeenCalledTimes(3);
    // Nor with both roles, where it is for some applications only.
    const scoped = eve({ roles: ['submitter', 'operator'], scopes: ['shop'] });
    await expect(submit({ caller: scoped, body: BARE, query })).rejects.toMatchObject({ code: 'out_of_scope' });
  });

  it('needs the role for what is urgent', async () => {
    const { submit } = await setup();
    const query = { priority: 'urgent' } as const;
    await expect(submit({ caller: eve(), body: BARE, query })).rejects.toMatchObject({
      code: 'role_required',
      detail: "'eve' has the role submitter, but 'priority=urgent' needs tasks:urgent: the role operator or admin",
    });
    await submit({ caller: eve({ roles: ['submitter', 'operator'] }), body: BARE, query });
  });
});
