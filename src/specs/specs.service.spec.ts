import { Test } from '@nestjs/testing';
import { Settings } from '../config/settings.js';
import { InvalidTaskError } from '../queue/new-task.js';
import { QueueDrainingError, QueueService } from '../queue/queue.service.js';
import { StepRegistry } from '../workflows/step-registry.js';
import { EXAMPLE_SUBMISSION } from './example-submission.js';
import { SpecsService } from './specs.service.js';
import { SubmissionQuery } from './submission-query.js';

const TASK_ID = 'task-01a20575-5554-7463-9141-8018d9736482';

async function setup() {
  const queue = { enqueue: jest.fn(async (_task: Record<string, unknown>) => ({ taskId: TASK_ID })) };
  const validate = jest.fn(() => [] as { path: string[]; message: string }[]);
  const module = await Test.createTestingModule({
    providers: [
      SpecsService,
      { provide: QueueService, useValue: queue },
      { provide: StepRegistry, useValue: { types: ['bash'], get: () => ({ validate }) } },
      { provide: Settings, useValue: new Settings() },
    ],
  }).compile();
  const submit = (changes: { body?: string; contentType?: string; query?: Partial<SubmissionQuery> } = {}) =>
    module.get(SpecsService).submit({
      body: Buffer.from(changes.body ?? EXAMPLE_SUBMISSION),
      contentType: changes.contentType ?? 'application/yaml',
      query: Object.assign(new SubmissionQuery(), changes.query),
      user: 'jane',
      requestId: 'request-1',
    });
  return { submit, queue, validate };
}

describe('SpecsService', () => {
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
    expect((await submit({ query })).workflow_name).toBe('golden-path-db-lifecycle');
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

  it('stores nothing where the document is wrong', async () => {
    const { submit, queue, validate } = await setup();
    await expect(submit({ body: 'a: [' })).rejects.toMatchObject({ code: 'malformed_yaml' });
    await expect(submit({ body: 'a: b' })).rejects.toMatchObject({ code: 'invalid_document' });
    await expect(submit({ contentType: 'text/plain' })).rejects.toMatchObject({ code: 'unsupported_media_type' });
    validate.mockReturnValue([{ path: ['config', 'command'], message: 'is missing' }]);
    await expect(submit()).rejects.toMatchObject({
      code: 'invalid_document',
      errors: [{ path: 'workflow.steps[0].config.command', line: expect.any(Number) }],
    });
    expect(queue.enqueue).not.toHaveBeenCalled();
  });

  it('says that a document without steps has none', async () => {
    const { submit } = await setup();
    const body = EXAMPLE_SUBMISSION.slice(0, EXAMPLE_SUBMISSION.indexOf('workflow:'));
    await expect(submit({ body })).rejects.toMatchObject({ code: 'invalid_document', errors: [{ path: 'workflow' }] });
  });

  it.each([
    [new InvalidTaskError('metadata', 'holds NUL'), { code: 'invalid_document' }],
    [new QueueDrainingError(), { code: 'draining', headers: { 'Retry-After': '5' } }],
    [new Error('boom'), { message: 'boom' }],
  ])('answers the queue´s %p', async (error, expected) => {
    const { submit, queue } = await setup();
    queue.enqueue.mockRejectedValue(error);
    await expect(submit()).rejects.toMatchObject(expected);
  });
});
