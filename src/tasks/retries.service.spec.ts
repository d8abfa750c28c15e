import { Test } from '@nestjs/testing';
import { getRepositoryToken } from '@nestjs/typeorm';
import type { Principal } from '../auth/principal.js';
import { Problem } from '../common/problem/problem.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { QueueService } from '../queue/queue.service.js';
import { SpecReader } from '../workflows/spec-reader.js';
import type { StepDefinition, WorkflowSpec } from '../workflows/workflow.js';
import { RetriesService } from './retries.service.js';

const TASK_ID = 'task-01a20575-5554-7463-9141-8018d9736482';
const BY = { actor: 'jane', requestId: 'request-1' };
const step = (name: string, command: string): StepDefinition => ({ name, type: 'bash', env: {}, config: { command } });
const spec = (...steps: StepDefinition[]): WorkflowSpec => ({
  ...{ workflow: { steps }, score: { metadata: { name: 'shop' } }, environment: {}, parameters: { size: '3' } },
});

async function setup(corrected?: WorkflowSpec, found = true, had: object = {}) {
  const queue = { retry: jest.fn(async () => undefined) };
  const reader = { read: jest.fn(() => corrected), admitOwnSteps: jest.fn((_task: object): void => undefined) };
  const row = {
    appName: 'shop',
    goldenPath: 'deploy-app',
    workflowSpec: spec(step('build', 'make'), step('ship', 'scp')),
    status: 'failed',
    ...had,
  };
  const module = await Test.createTestingModule({
    providers: [
      RetriesService,
      { provide: getRepositoryToken(QueueTask), useValue: { findOneBy: async () => (found ? row : null) } },
      { provide: QueueService, useValue: queue },
      { provide: SpecReader, useValue: reader },
    ],
  }).compile();
  return { service: module.get(RetriesService), queue, reader };
}

describe('RetriesService', () => {
  it('asks for nothing in particular unless told to', async () => {
    const { service, queue } = await setup();
    await service.retry(TASK_ID, {}, BY);
    expect(queue.retry.mock.calls).toEqual([[TASK_ID, BY]]);
  });

  it('begins at the step that is named', async () => {
    const { service, queue } = await setup();
    await service.retry(TASK_ID, { from_step: 'ship' }, BY);
    expect(queue.retry).toHaveBeenCalledWith(TASK_ID, BY, { anew: ['ship'], detail: { from_step: 'ship' } });
  });

  it('runs what a corrected document has changed, and keeps the difference for the ledger', async () => {
    const corrected = spec(step('build', 'make'), step('ship', 'rsync'));
    const { service, queue, reader } = await setup(corrected);
    await service.retry(TASK_ID, { spec: { metadata: { name: 'shop' } } }, BY);
    expect(reader.read).toHaveBeenCalledWith('{"metadata":{"name":"shop"}}', {
      ...{ appName: 'shop', goldenPath: 'deploy-app', parameters: { size: '3' } },
    });
    const changes = [{ path: 'workflow.steps.1.config.command', from: 'scp', to: 'rsync' }];
    expect(queue.retry).toHaveBeenCalledWith(TASK_ID, BY, {
      anew: ['ship'],
      workflowSpec: corrected,
      detail: { changes },
    });
  });

  it('has people asked again where a correction changes anything', async () => {
    const ask = { name: 'ask', type: 'approval', env: {}, config: {} };
    const hold = { ...step('hold', 'x'), when: 'manual' as const };
    const corrected = spec(step('build', 'make'), ask, hold, step('ship', 'rsync'));
    const { service, queue } = await setup(corrected);
    await service.retry(TASK_ID, { spec: 'yaml' }, BY);
    expect(queue.retry).toHaveBeenCalledWith(TASK_ID, BY, expect.objectContaining({ anew: ['ask', 'hold', 'ship'] }));
  });

  it.each<[string, Partial<WorkflowSpec>]>([
    ['score', { score: { metadata: { name: 'shop' }, containers: { web: { image: 'evil' } } } }],
    ['environment', { environment: { type: 'production' } }],
    ['parameters', { parameters: { size: '300' } }],
    ['variables', { workflow: { steps: [], variables: { target: 'production' } } }],
  ])('has people asked again where a correction changes what its steps refer to: %s', async (_, change) => {
    const ask = { name: 'ask', type: 'approval', env: {}, config: {} };
    const hold = { ...step('hold', 'x'), when: 'manual' as const };
    const before = spec(step('build', 'make'), ask, hold, step('ship', '${parameters.size}'));
    const workflow = { ...change.workflow, ...before.workflow };
    const corrected = { ...before, ...change, workflow };
    const asked = await setup(corrected, true, { workflowSpec: before });
    await asked.service.retry(TASK_ID, { spec: 'yaml' }, BY);
    expect(asked.queue.retry).toHaveBeenCalledWith(TASK_ID, BY, expect.objectContaining({ anew: ['ask', 'hold'] }));
    const from = await setup(corrected, true, { workflowSpec: before });
    await from.service.retry(TASK_ID, { spec: 'yaml', from_step: 'ship' }, BY);
    expect(from.queue.retry.mock.calls[0]).toMatchObject([TASK_ID, BY, { anew: ['ship', 'ask', 'hold'] }]);
    // One that had completed runs as a whole.
    const whole = await setup(corrected, true, { workflowSpec: before, status: 'completed' });
    await whole.service.retry(TASK_ID, { spec: 'yaml' }, BY);
    expect(whole.queue.retry.mock.calls[0]).toMatchObject([TASK_ID, BY, { anew: ['build', 'ask', 'hold', 'ship'] }]);
    // The same document once more changes nothing of what was approved.
    const same = await setup(JSON.parse(JSON.stringify(before)) as WorkflowSpec, true, { workflowSpec: before });
    await same.service.retry(TASK_ID, { spec: 'yaml' }, BY);
    expect(same.queue.retry).toHaveBeenCalledWith(
      TASK_ID,
      BY,
      expect.not.objectContaining({ anew: expect.anything() }),
    );
  });

  it('takes over what a corrected document says anew of the whole task', async () => {
    const corrected = spec(step('build', 'make'), step('ship', 'scp'));
    const backoff = { type: 'fixed', initialSeconds: 1, factor: 2, maxSeconds: 1, jitter: 'none' } as const;
    const workflow = { ...corrected.workflow, timeoutSeconds: 90, retry: { maxAttempts: 4, backoff } };
    const { service, queue } = await setup({ ...corrected, workflow });
    await service.retry(TASK_ID, { spec: 'yaml' }, BY);
    const limits = { maxAttempts: 4, timeoutSeconds: 90 };
    expect(queue.retry).toHaveBeenCalledWith(TASK_ID, BY, expect.objectContaining(limits));
  });

  it.each([{}, { from_step: 'ship' }])('runs own steps again only for who may have them: %j', async (how) => {
    const inline = { workflowSpec: { ...spec(step('build', 'make'), step('ship', 'scp')), inline: true } };
    const { service, queue, reader } = await setup(undefined, true, inline);
    const no = new Problem('inline_steps_forbidden', 'no');
    reader.admitOwnSteps.mockImplementation(() => {
      throw no;
    });
    const caller: Principal = { name: 'jane', roles: ['submitter'] };
    await expect(service.retry(TASK_ID, how, BY, caller)).rejects.toBe(no);
    expect(reader.admitOwnSteps).toHaveBeenLastCalledWith({ goldenPath: 'deploy-app', caller });
    // For whoever may retry all tasks it is the setting alone that counts.
    await expect(service.retry(TASK_ID, how, BY, { ...caller, roles: ['operator'] })).rejects.toBe(no);
    expect(reader.admitOwnSteps).toHaveBeenLastCalledWith({ goldenPath: 'deploy-app' });
    expect(queue.retry).not.toHaveBeenCalled();
    // Steps of the catalogue are nobody's own.
    const path = await setup();
    await path.service.retry(TASK_ID, how, BY, caller);
    expect(path.reader.admitOwnSteps).not.toHaveBeenCalled();
    expect(path.queue.retry).toHaveBeenCalledTimes(1);
  });

  it('cuts no character in half', async () => {
    const { service, queue } = await setup(spec(step('build', `${'x'.repeat(498)}\u{1f600}`), step('ship', 'scp')));
    await service.retry(TASK_ID, { spec: 'yaml' }, BY);
    expect(JSON.stringify(queue.retry.mock.calls)).not.toMatch(/\\ud83d/);
  });

  it('cuts a difference that is too large for a ledger', async () => {
    const { service, queue } = await setup(spec(step('build', 'x'.repeat(2_000)), step('ship', 'scp')));
    await service.retry(TASK_ID, { spec: 'yaml' }, BY);
    const [, , { detail }] = queue.retry.mock.calls[0] as unknown as [
      string,
      object,
      { detail: { changes: object[] } },
    ];
    expect(JSON.stringify(detail.changes).length).toBeLessThan(700);
  });

  it('says which steps there are', async () => {
    const { service, queue } = await setup();
    await expect(service.retry(TASK_ID, { from_step: 'shop' }, BY)).rejects.toMatchObject({
      code: 'invalid_parameter',
      errors: [expect.objectContaining({ path: 'from_step', hint: "Did you mean 'ship'?" })],
    });
    expect(queue.retry).not.toHaveBeenCalled();
  });

  it('knows a task that is not there', async () => {
    const { service } = await setup(undefined, false);
    await expect(service.retry(TASK_ID, { from_step: 'a' }, BY)).rejects.toMatchObject({ code: 'task_not_found' });
  });
});
