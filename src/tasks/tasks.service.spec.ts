import { Test } from '@nestjs/testing';
import { getRepositoryToken } from '@nestjs/typeorm';
import { encodeCursor } from '../common/http/cursor.js';
import { QueueTaskDecision, QueueTaskEvent, QueueTaskStep } from '../queue/queue-task-records.entity.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { ListStore } from '../queue/store/list-store.js';
import type { TaskListRequest } from '../queue/store/list.sql.js';
import { QueueService } from '../queue/queue.service.js';
import { TaskNotFoundError, TaskStateError } from '../queue/queue-errors.js';
import { PageQuery } from '../common/http/page-query.js';
import { readListQuery } from './list-query.js';
import { TasksService } from './tasks.service.js';

const TASK_ID = 'task-01a20575-5554-7463-9141-8018d9736482';
const NOW = new Date('2026-01-31T12:00:00Z');

function aRow(changes: Partial<QueueTask> = {}): QueueTask {
  return Object.assign(new QueueTask(), {
    id: '7',
    taskId: TASK_ID,
    appName: 'demo-app',
    workflowName: 'golden-path-deploy-app',
    metadata: { user: 'admin', source: 'api', labels: { team: 'a' } },
    status: 'completed',
    attempt: 1,
    result: null,
    enqueuedAt: NOW,
    ...changes,
  });
}

async function setup({ rows = [aRow()], exists = true }: { rows?: QueueTask[]; exists?: boolean } = {}) {
  const lists = { list: jest.fn(async (_: TaskListRequest) => rows.map((row) => row.id)) };
  const tasks = {
    // In whatever order the table holds them.
    find: jest.fn(async (_: { select: object }) => [...rows].reverse()),
    findOneBy: jest.fn(async () => (exists ? rows[0] : null)),
    findOne: jest.fn(async () => (exists ? rows[0] : null)),
    existsBy: async () => exists,
  };
  const steps = { find: jest.fn(async (): Promise<Partial<QueueTaskStep>[]> => []) };
  const decisions = { find: jest.fn(async (): Promise<Partial<QueueTaskDecision>[]> => []) };
  const ledger = { find: jest.fn(async (): Promise<Partial<QueueTaskEvent>[]> => []) };
  const queue = { cancel: jest.fn(async () => 'cancelled'), retry: jest.fn(async () => undefined), draining: false };
  const module = await Test.createTestingModule({
    providers: [
      TasksService,
      { provide: getRepositoryToken(QueueTask), useValue: tasks },
      { provide: getRepositoryToken(QueueTaskStep), useValue: steps },
      { provide: getRepositoryToken(QueueTaskDecision), useValue: decisions },
      { provide: getRepositoryToken(QueueTaskEvent), useValue: ledger },
      { provide: QueueService, useValue: queue },
      { provide: ListStore, useValue: lists },
    ],
  }).compile();
  return { service: module.get(TasksService), lists, tasks, steps, ledger, queue };
}

const pageQuery = (changes: Partial<PageQuery> = {}) => Object.assign(new PageQuery(), changes);

describe('TasksService', () => {
  describe('list', () => {
    it('asks for what each filter says, and for one row more than the page holds', async () => {
      const { service, lists, tasks } = await setup();
      const query = readListQuery({
        status: 'failed',
        app_name: 'shop',
        workflow_name: 'golden-path-x',
        'label.team': 'a',
        q: 'registry',
        since: '2026-01-01T00:00:00Z',
        until: '2026-02-01T00:00:00Z',
        limit: '10',
        cursor: encodeCursor('99'),
      });
      await service.list(query);
      expect(lists.list).toHaveBeenCalledWith({
        filter: {
          status: 'failed',
          appName: 'shop',
          workflowName: 'golden-path-x',
          labels: { team: 'a' },
          text: 'registry',
          since: '2026-01-01T00:00:00Z',
          until: '2026-02-01T00:00:00Z',
        },
        after: '99',
        limit: 11,
      });
      expect(tasks.find.mock.calls[0]![0].select).not.toHaveProperty('workflowSpec');
    });

    it('keeps the order of the list, and has a next page only where there is one more row than asked for', async () => {
      const three = [aRow({ id: '3' }), aRow({ id: '2', appName: 'second' }), aRow({ id: '1' })];
      const { service } = await setup({ rows: three });
      const page = await service.list(readListQuery({ limit: '2' }));
      expect(page.tasks.map((task) => task.app_name)).toEqual(['demo-app', 'second']);
      expect(page.next_cursor).toBe(encodeCursor('2'));
      expect((await service.list(readListQuery({ limit: '3' }))).next_cursor).toBeNull();
    });

    it('leaves out a task that is gone since, and still knows that there is more', async () => {
      const { service, lists } = await setup({ rows: [aRow({ id: '3' })] });
      lists.list.mockResolvedValue(['3', '2', '1']);
      const page = await service.list(readListQuery({ limit: '2' }));
      expect(page.tasks).toHaveLength(1);
      expect(page.next_cursor).toBe(encodeCursor('2'));
    });

    it.each([
      [{ 'label.': 'x' }, 'label.'],
      [{ 'label.a': ['x', 'y'] }, 'label.a'],
      [{ q: '' }, 'q'],
      [{ q: 'x'.repeat(256) }, 'q'],
      [{ labels: 'a' }, 'labels'],
    ])('refuses %p', (query, path) => {
      expect(() => readListQuery(query)).toThrow(
        expect.objectContaining({ code: 'invalid_parameter', errors: [expect.objectContaining({ path })] }),
      );
    });

    it('refuses a cursor that it did not give out', async () => {
      const { service } = await setup();
      await expect(service.list(readListQuery({ cursor: 'bm9uc2Vuc2U' }))).rejects.toMatchObject({
        code: 'invalid_parameter',
        errors: [{ path: 'cursor' }],
      });
    });
  });

  describe('detail', () => {
    it('shows labels apart from the rest of the metadata, and the steps', async () => {
      const { service, steps } = await setup();
      steps.find.mockResolvedValue([{ name: 'build', type: 'bash', status: 'completed', outputs: null }]);
      const detail = await service.detail(TASK_ID);
      expect(detail).toMatchObject({
        task_id: TASK_ID,
        labels: { team: 'a' },
        metadata: { user: 'admin', source: 'api' },
        outputs: {},
        steps: [{ name: 'build', outputs: {} }],
      });
      expect(detail.metadata).not.toHaveProperty('labels');
    });

    it('knows no labels where none were given', async () => {
      const { service } = await setup({ rows: [aRow({ metadata: {} })] });
      expect((await service.detail(TASK_ID)).labels).toEqual({});
    });

    it('says which task there is not', async () => {
      const { service } = await setup({ exists: false });
      await expect(service.detail('task-x')).rejects.toMatchObject({
        code: 'task_not_found',
        detail: expect.stringContaining('task-x'),
      });
    });
  });

  describe('detailWhenEnded', () => {
    const here = new AbortController().signal;

    it('answers when the task has ended', async () => {
      const { service, tasks } = await setup();
      tasks.findOne.mockResolvedValueOnce(aRow({ status: 'running' }));
      expect(await service.detailWhenEnded(TASK_ID, 60, here)).toMatchObject({ status: 'completed' });
      expect(tasks.findOne).toHaveBeenCalledTimes(2);
    });

    it.each([
      ['the time is up', 0, here, false],
      ['the caller is gone', 60, AbortSignal.abort(), false],
      ['this instance shuts down', 60, here, true],
    ])('answers earlier when %s', async (_, seconds, signal, draining) => {
      const { service, tasks, queue } = await setup({ rows: [aRow({ status: 'running' })] });
      queue.draining = draining;
      expect(await service.detailWhenEnded(TASK_ID, seconds, signal)).toMatchObject({ status: 'running' });
      expect(tasks.findOne).toHaveBeenCalledTimes(1);
    });

    it('knows no task that does not exist', async () => {
      const { service } = await setup({ exists: false });
      await expect(service.detailWhenEnded(TASK_ID, 60, here)).rejects.toMatchObject({ code: 'task_not_found' });
    });
  });

  describe('events', () => {
    it('pages through the ledger', async () => {
      const { service, ledger } = await setup();
      ledger.find.mockResolvedValue([{ id: '4' }, { id: '5' }]);
      const page = await service.events(TASK_ID, pageQuery({ limit: 1, cursor: encodeCursor('3') }));
      expect(page).toMatchObject({ events: [{ id: '4' }], next_cursor: encodeCursor('4') });
    });

    it('has none for a task that does not exist', async () => {
      const { service } = await setup({ exists: false });
      await expect(service.events(TASK_ID, pageQuery())).rejects.toMatchObject({ code: 'task_not_found' });
    });
  });

  describe('verbs', () => {
    it('signs a cancel with who and why', async () => {
      const { service, queue } = await setup();
      await service.cancel(TASK_ID, 'jane', 'request-1', 'wrong version');
      await service.cancel(TASK_ID, 'jane', 'request-2');
      const by = (requestId: string) => ({ actor: 'jane', requestId });
      expect(queue.cancel).toHaveBeenCalledWith(TASK_ID, by('request-1'), 'cancelled by jane: wrong version');
      expect(queue.cancel).toHaveBeenCalledWith(TASK_ID, by('request-2'), 'cancelled by jane');
    });

    it.each([
      [new TaskNotFoundError(TASK_ID), 'task_not_found'],
      [new TaskStateError(TASK_ID, 'running', 'the task is running'), 'illegal_transition'],
    ])('turns the queue´s %p into a problem', async (error, code) => {
      const { service, queue } = await setup();
      queue.cancel.mockRejectedValue(error);
      await expect(service.cancel(TASK_ID, 'jane', 'r')).rejects.toMatchObject({ code });
    });

    it('lets other errors through', async () => {
      const { service, queue } = await setup();
      queue.cancel.mockRejectedValue(new Error('boom'));
      await expect(service.cancel(TASK_ID, 'jane', 'r')).rejects.toThrow('boom');
    });
  });
});
