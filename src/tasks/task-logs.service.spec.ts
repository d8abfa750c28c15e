import { Test } from '@nestjs/testing';
import { getRepositoryToken } from '@nestjs/typeorm';
import { QueueTaskStep } from '../queue/queue-task-records.entity.js';
import { QueueTask } from '../queue/queue-task.entity.js';
import { LogReader, type LogPage, type LogRow } from '../queue/store/log-reader.js';
import { LogWatch } from './log-watch.js';
import { TaskLogsService } from './task-logs.service.js';

const TASK_ID = 'task-01a20575-5554-7463-9141-8018d9736482';
const PLAIN = { time: false, step: false, plain: false };
const BEGINNING = { after: '0', ended: false };
const here = new AbortController().signal;

const aRow = (id: string, text: string): LogRow => ({
  ...{ id, attempt: 1, step: 'build', stream: 'stdout', at: new Date(0), chunk: Buffer.from(text) },
});
function aPage(rows: LogRow[], changes: Partial<LogPage> = {}): LogPage {
  return { rows, after: rows.at(-1)?.id ?? '0', last: true, status: 'completed', ...changes };
}

async function setup(pages: (LogPage | undefined)[], task: Partial<QueueTask> | null = {}) {
  const rest = [...pages];
  const reader = {
    page: jest.fn(async (_position: object, _filter?: object) => rest.shift()),
    hasOutput: jest.fn(async () => false),
  };
  const watch = { news: jest.fn(async (_position: object, _ms: number, _gone: AbortSignal) => true) };
  const step = (name: string) => ({ name, type: 'bash', env: {}, config: {} });
  const spec = { workflow: { steps: [step('build'), step('deploy')] } };
  const found = task && { id: '7', attempt: 2, workflowSpec: spec, ...task };
  const module = await Test.createTestingModule({
    providers: [
      TaskLogsService,
      { provide: getRepositoryToken(QueueTask), useValue: { findOne: async () => found } },
      { provide: getRepositoryToken(QueueTaskStep), useValue: { find: async () => [{ name: 'cleanup' }] } },
      { provide: LogReader, useValue: reader },
      { provide: LogWatch, useValue: watch },
    ],
  }).compile();
  return { service: module.get(TaskLogsService), reader, watch };
}

async function read(pieces: AsyncIterable<Buffer>): Promise<string> {
  const read: Buffer[] = [];
  for await (const piece of pieces) read.push(piece);
  return Buffer.concat(read).toString();
}

describe('the output of a task', () => {
  it('as text is read page by page, to its end', async () => {
    const { service, reader } = await setup([
      aPage([aRow('1', 'a'), aRow('2', '')], { last: false }),
      aPage([aRow('3', 'b')], { last: false }),
      aPage([]),
    ]);
    const text = await service.text(TASK_ID, {}, PLAIN);
    expect(reader.page).toHaveBeenCalledTimes(1);
    expect(await read(text(here))).toBe('ab');
    expect(reader.page.mock.calls.map(([position]) => position)).toEqual(
      ['0', '2', '3'].map((after) => ({ taskId: TASK_ID, after })),
    );
  });

  it('as text has prefixes over the borders of pages', async () => {
    const { service } = await setup([aPage([aRow('1', 'a')], { last: false }), aPage([aRow('2', 'b')])]);
    expect(await read((await service.text(TASK_ID, {}, { ...PLAIN, step: true }))(here))).toBe('[build] ab');
  });

  it('as events waits behind what was read, until the task has ended', async () => {
    const { service, watch, reader } = await setup([
      aPage([aRow('1', 'a')], { status: 'running' }),
      aPage([], { after: '5', status: 'retrying' }),
      aPage([aRow('6', 'b')], { status: 'failed' }),
    ]);
    const events = await service.events(TASK_ID, { step: 'build' }, BEGINNING);
    const text = await read(events!(here));
    expect(text.split('\n').filter((line) => /^(retry|id|event)/.test(line))).toEqual([
      ...['retry: 1000', 'id: 1', 'id: 6', 'id: 6.end', 'event: end'],
    ]);
    expect(text).toContain('data: {"status":"failed"}');
    expect(watch.news.mock.calls.map(([position]) => position)).toEqual([
      { taskId: TASK_ID, after: '1' },
      { taskId: TASK_ID, after: '5' },
    ]);
    expect(reader.page).toHaveBeenLastCalledWith({ taskId: TASK_ID, after: '5' }, { step: 'build' });
  });

  it('as events shows every 15 seconds that the connection is alive, without a read', async () => {
    const { service, watch, reader } = await setup([aPage([], { status: 'waiting' }), aPage([])]);
    watch.news.mockResolvedValueOnce(false).mockResolvedValueOnce(false);
    const events = await service.events(TASK_ID, {}, BEGINNING);
    expect(await read(events!(here))).toBe(
      'retry: 1000\n\n:\n\n:\n\nid: 0.end\nevent: end\ndata: {"status":"completed"}\n\n',
    );
    expect(watch.news.mock.calls.map(([, atMost]) => atMost)).toEqual([15_000, 15_000, 15_000]);
    expect(reader.page).toHaveBeenCalledTimes(2);
  });

  it('as events ends where the reader has gone, and where the task was removed', async () => {
    const gone = new AbortController();
    const running = () => aPage([], { status: 'running' });
    const left = await setup([running()]);
    left.watch.news.mockImplementation(async () => {
      gone.abort();
      return false;
    });
    expect(await read((await left.service.events(TASK_ID, {}, BEGINNING))!(gone.signal))).toBe('retry: 1000\n\n');
    const removed = await setup([running(), undefined]);
    expect(await read((await removed.service.events(TASK_ID, {}, BEGINNING))!(here))).toBe('retry: 1000\n\n');
    const behind = await setup([aPage([aRow('1', 'a')], { last: false, status: 'running' })]);
    await read((await behind.service.events(TASK_ID, {}, BEGINNING))!(AbortSignal.abort()));
    expect(behind.reader.page).toHaveBeenCalledTimes(1);
  });

  it('as events is none for a reader who has had the end, unless the task runs again or said more', async () => {
    const had = { after: '7', ended: true };
    const answered = async (page: LogPage) =>
      (await (await setup([page])).service.events(TASK_ID, {}, had)) !== undefined;
    expect(await answered(aPage([]))).toBe(false);
    expect(await answered(aPage([], { status: 'pending' }))).toBe(true);
    expect(await answered(aPage([aRow('8', 'x')]))).toBe(true);
    const missed = await setup([aPage([])]);
    expect(await missed.service.events(TASK_ID, {}, { after: '7', ended: false })).toBeDefined();
  });

  it('is that of any step the task has, has noted or has ever run', async () => {
    for (const step of ['build', 'cleanup']) {
      const { service, reader } = await setup([aPage([])]);
      await service.text(TASK_ID, { step, attempt: 2 }, PLAIN);
      expect(reader.page).toHaveBeenCalledWith({ taskId: TASK_ID, after: '0' }, { step, attempt: 2 });
      expect(reader.hasOutput).not.toHaveBeenCalled();
    }
    const { service, reader } = await setup([aPage([])]);
    reader.hasOutput.mockResolvedValue(true);
    await service.text(TASK_ID, { step: 'of-yesterday' }, PLAIN);
  });

  it.each([
    [{ step: 'biuld' }, {}, { path: 'step', hint: `Did you mean 'build'?` }],
    [{ step: 'other' }, {}, { path: 'step', hint: 'Its steps: build, deploy, cleanup.' }],
    [{ step: 'other' }, { workflowSpec: {} }, { path: 'step', hint: 'Its steps: cleanup.' }],
    [{ attempt: 3 }, {}, { path: 'attempt', hint: 'There are attempts 1 to 2.' }],
    [{ attempt: 2 }, { attempt: 0 }, { path: 'attempt', hint: 'There is attempt 1 only.' }],
  ])('is refused for %p of a task %p', async (filter, task, error) => {
    const { service, reader } = await setup([aPage([])], task);
    const refused = { code: 'invalid_parameter', errors: [error] };
    await expect(service.text(TASK_ID, filter, PLAIN)).rejects.toMatchObject(refused);
    await expect(service.events(TASK_ID, filter, BEGINNING)).rejects.toMatchObject(refused);
    expect(reader.page).not.toHaveBeenCalled();
  });

  it('names no more than twenty steps', async () => {
    const steps = Array.from({ length: 30 }, (_, n) => ({ name: `s${n}00000`, type: 'bash', env: {}, config: {} }));
    const { service } = await setup([], { workflowSpec: { workflow: { steps } } });
    await expect(service.text(TASK_ID, { step: 'x' }, PLAIN)).rejects.toMatchObject({
      errors: [{ hint: expect.stringMatching(/, and 11 more\.$/) }],
    });
  });

  it('may be waited for before the first attempt', async () => {
    const { service } = await setup([aPage([], { status: 'pending' })], { attempt: 0 });
    expect(await service.events(TASK_ID, { attempt: 1 }, BEGINNING)).toBeDefined();
  });

  it('is none where there is no task', async () => {
    const { service } = await setup([undefined, undefined], null);
    for (const filter of [{}, { step: 'build' }]) {
      await expect(service.text(TASK_ID, filter, PLAIN)).rejects.toMatchObject({ code: 'task_not_found' });
    }
  });
});
