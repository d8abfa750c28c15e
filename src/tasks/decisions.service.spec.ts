import { Test } from '@nestjs/testing';
import { getRepositoryToken } from '@nestjs/typeorm';
import { QueueTaskStep } from '../queue/queue-task-records.entity.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { QueueService } from '../queue/queue.service.js';
import type { Said } from '../queue/store/task-changes.js';
import { DecisionsService } from './decisions.service.js';

const TASK_ID = 'task-01a20575-5554-7463-9141-8018d9736482';
const BOB = { actor: 'bob', requestId: 'request-1' };
const STARTED = new Date('2026-01-31T12:00:00Z');

const WAITING: Partial<QueueTask> = { status: 'waiting', metadata: { user: 'ann' } };

const waiting = (name: string, waitsFor: object = {}): Partial<QueueTaskStep> => ({
  ...{ name, status: 'waiting', startedAt: STARTED },
  waitsFor: { count: 1, notSubmitter: false, default: 'reject', ...waitsFor },
});

async function setup(
  steps: Partial<QueueTaskStep>[],
  { task = WAITING, noted = true }: { task?: Partial<QueueTask> | null; noted?: boolean } = {},
) {
  const made: Said[] = [];
  /** What the queue is told of what was said, decision by decision. */
  const settled: (string | undefined)[] = [];
  const queue = {
    decide: jest.fn(
      async (
        _: string,
        { decision }: { decision: 'approve' | 'reject' },
        { actor }: typeof BOB,
        settles: (made: readonly Said[]) => string | undefined,
      ) => {
        if (noted) made.push({ decision, actor, comment: null });
        settled.push(settles(made));
        return noted;
      },
    ),
  };
  const module = await Test.createTestingModule({
    providers: [
      DecisionsService,
      { provide: getRepositoryToken(QueueTask), useValue: { findOne: async () => task } },
      { provide: getRepositoryToken(QueueTaskStep), useValue: { find: async () => steps } },
      { provide: QueueService, useValue: queue },
    ],
  }).compile();
  return { service: module.get(DecisionsService), queue, settled };
}

describe('DecisionsService', () => {
  it('notes a decision and lets the task go on', async () => {
    const { service, queue, settled } = await setup([{ name: 'build', status: 'completed' }, waiting('ask')]);
    await service.decide(TASK_ID, { decision: 'approve', comment: 'fine' }, BOB);
    const said = { step: 'ask', decision: 'approve', comment: 'fine' };
    expect(queue.decide).toHaveBeenCalledWith(TASK_ID, said, BOB, expect.any(Function));
    expect(settled).toEqual(['approved']);
  });

  it('lets it wait on until enough have approved; one rejection is enough', async () => {
    const { service, settled } = await setup([waiting('ask', { count: 2 })]);
    await service.decide(TASK_ID, { decision: 'approve' }, BOB);
    await service.decide(TASK_ID, { decision: 'approve' }, { ...BOB, actor: 'eve' });
    expect(settled).toEqual([undefined, 'approved']);
    const other = await setup([waiting('ask', { count: 2 })]);
    await other.service.decide(TASK_ID, { decision: 'reject' }, BOB);
    expect(other.settled).toEqual(['rejected']);
  });

  it.each([
    [{ approvers: ['ann', 'eve'] }, "'bob' is none of those who may decide: ann, eve"],
    [{ notSubmitter: true }, "'bob' submitted the task, and this step asks for somebody else's approval"],
  ])('refuses who may not decide: %j', async (waitsFor, detail) => {
    const task = { status: 'waiting', metadata: { user: 'bob' } } as Partial<QueueTask>;
    const { service, queue } = await setup([waiting('ask', waitsFor)], { task });
    const refused = service.decide(TASK_ID, { decision: 'approve' }, BOB);
    await expect(refused).rejects.toMatchObject({ code: 'forbidden', detail });
    expect(queue.decide).not.toHaveBeenCalled();
  });

  it.each([
    [{ user: 'ann', corrected_by: ['bob'] }],
    [{ user: 'schedule:nightly', written_by: ['ann', 'bob'] }],
    [{ user: 'bob', written_by: ['ann'] }],
  ])('counts whoever corrected it, wrote its schedule or ran that as one who submitted it: %j', async (metadata) => {
    const task = { status: 'waiting', metadata } as Partial<QueueTask>;
    const { service } = await setup([waiting('ask', { notSubmitter: true })], { task });
    const refused = service.decide(TASK_ID, { decision: 'approve' }, BOB);
    await expect(refused).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('lets whoever submitted the task reject it', async () => {
    const task = { status: 'waiting', metadata: { user: 'bob' } } as Partial<QueueTask>;
    const { service, settled } = await setup([waiting('ask', { notSubmitter: true })], { task });
    await service.decide(TASK_ID, { decision: 'reject' }, BOB);
    expect(settled).toEqual(['rejected']);
  });

  it.each<[string, Partial<QueueTaskStep>[], string | undefined, object]>([
    ['no step waits', [{ name: 'a', status: 'running' }], undefined, { code: 'illegal_transition' }],
    [
      'the step does not wait',
      [{ name: 'a', status: 'completed' }, waiting('b')],
      'a',
      { code: 'illegal_transition', detail: "step 'a' is completed: waiting now: b" },
    ],
    [
      'several wait and none is named',
      [waiting('a'), waiting('b')],
      undefined,
      { code: 'invalid_parameter', errors: [expect.objectContaining({ path: 'step', hint: 'One of: a, b.' })] },
    ],
    [
      'there is no such step',
      [waiting('approve-prod')],
      'aprove-prod',
      { code: 'invalid_parameter', errors: [expect.objectContaining({ hint: "Did you mean 'approve-prod'?" })] },
    ],
  ])('says what to do where %s', async (_, steps, step, problem) => {
    const { service } = await setup(steps);
    await expect(service.decide(TASK_ID, { decision: 'approve', step }, BOB)).rejects.toMatchObject(problem);
  });

  it('takes one of several that is named', async () => {
    const { service, queue } = await setup([waiting('a'), waiting('b')]);
    await service.decide(TASK_ID, { decision: 'approve', step: 'b' }, BOB);
    const said = { step: 'b', decision: 'approve', comment: undefined };
    expect(queue.decide).toHaveBeenCalledWith(TASK_ID, said, BOB, expect.any(Function));
  });

  it('knows a task that is not there, and a decision that counts no more', async () => {
    const gone = await setup([], { task: null });
    await expect(gone.service.decide(TASK_ID, { decision: 'approve' }, BOB)).rejects.toMatchObject({
      code: 'task_not_found',
    });
    const late = await setup([waiting('ask')], { noted: false });
    await expect(late.service.decide(TASK_ID, { decision: 'approve' }, BOB)).rejects.toMatchObject({
      code: 'conflict',
    });
  });
});
