import { LogReader, type LogPage, type LogRow } from '../../../src/queue/store/log-reader.js';
import type { LogChunk, TaskRun } from '../../../src/queue/task-handler.js';
import { aTask } from '../../support/queue-harness.js';
import { useQueue } from '../../support/queue-fixture.js';

const fixture = useQueue();

/** A run under way, held by a gate; and a reader on an instance that runs nothing. */
async function aRun() {
  const gate = fixture.gate();
  const { queue, handler } = await fixture.start({ behaviour: gate.hold, leaseSeconds: 30 });
  const { taskId } = await queue.enqueue(aTask());
  const run = await handler.run(1);
  const reader = (await fixture.startApi()).module.get(LogReader);
  const end = async () => {
    gate.release();
    await fixture.becomes(taskId, 'completed');
  };
  return { queue, handler, taskId, run, reader, end };
}

const chunk = (text: string, step = 'build'): LogChunk => ({ step, stream: 'stdout', chunk: Buffer.from(text) });
const write = (run: TaskRun, ...chunks: LogChunk[]) => run.journal.appendLog(chunks);
const texts = (rows: readonly LogRow[]) => rows.map((row) => String(row.chunk));

async function readAll(reader: LogReader, taskId: string, filter = {}): Promise<{ pages: LogPage[]; rows: LogRow[] }> {
  const pages: LogPage[] = [];
  for (let after = '0'; ;) {
    const page = (await reader.page({ taskId, after }, filter))!;
    pages.push(page);
    if (page.last) return { pages, rows: pages.flatMap(({ rows }) => rows) };
    after = page.after;
  }
}

describe('the log of a task', () => {
  it('is read in pages of bounded size, each row once and in order', async () => {
    const { run, taskId, reader } = await aRun();
    const small = Array.from({ length: 600 }, (_, n) => chunk(`${n}`, n % 2 ? 'a' : 'b'));
    const large = Array.from({ length: 7 }, (_, n) => chunk(`${n}`.repeat(60_000), 'c'));
    await write(run, ...small);
    await write(run, ...large);
    const { pages, rows } = await readAll(reader, taskId);
    expect(texts(rows)).toEqual([...small, ...large].map((each) => String(each.chunk)));
    expect(pages).toHaveLength(4);
    for (const page of pages) {
      expect(page.rows.length).toBeLessThanOrEqual(512);
      const before = page.rows.slice(0, -1).reduce((bytes, row) => bytes + row.chunk.length, 0);
      expect(before).toBeLessThan(128 * 1024);
    }
    expect(rows[0]).toMatchObject({ attempt: 1, step: 'b', stream: 'stdout', at: expect.any(Date) });
  });

  it('is filtered by step and by attempt, and read to its end even so', async () => {
    const { run, taskId, reader, end, queue, handler } = await aRun();
    await write(run, chunk('1'), chunk('2', 'deploy'));
    const waiting = (await readAll(reader, taskId, { step: 'build' })).pages.at(-1)!;
    expect(await reader.news([{ taskId, after: waiting.after }])).toEqual([]);
    await end();
    handler.behaviour = fixture.gate().hold;
    await queue.retry(taskId, { actor: 'ada' });
    const second = await handler.run(2);
    await write(second, chunk('3'), chunk('4', 'deploy'));
    const read = async (filter: object) => texts((await readAll(reader, taskId, filter)).rows);
    expect(await read({ step: 'build' })).toEqual(['1', '3']);
    expect(await read({ attempt: 2 })).toEqual(['3', '4']);
    expect(await read({ step: 'deploy', attempt: 1 })).toEqual(['2']);
    expect(await read({ step: 'other' })).toEqual([]);
    expect(await reader.hasOutput(taskId, 'deploy')).toBe(true);
    expect(await reader.hasOutput(taskId, 'other')).toBe(false);
  });

  it('knows with each page how the task stands', async () => {
    const { run, taskId, reader, end } = await aRun();
    expect(await reader.page({ taskId, after: '0' })).toEqual({ rows: [], after: '0', last: true, status: 'running' });
    await write(run, chunk('1'));
    const page = (await reader.page({ taskId, after: '0' }))!;
    expect(page).toMatchObject({ last: true, status: 'running', rows: [{ id: page.after }] });
    await end();
    expect(await reader.page({ taskId, after: page.after })).toEqual({ ...page, rows: [], status: 'completed' });
    // Whoever says to have read more than there is, is not sent back.
    expect(await reader.page({ taskId, after: '999999' })).toMatchObject({ after: '999999', last: true });
    expect(await reader.page({ taskId: 'task-x', after: '0' })).toBeUndefined();
  });

  it('has news for those only behind whose place there is more, or whose task has ended or gone', async () => {
    const { run, taskId, reader, queue, handler } = await aRun();
    const gate = fixture.gate();
    handler.behaviour = gate.hold;
    const { taskId: otherId } = await queue.enqueue(aTask());
    const other = await handler.run(2);
    await write(run, chunk('1'));
    await write(other, chunk('2'));
    const { after } = (await reader.page({ taskId, after: '0' }))!;
    const idle = { taskId, after };
    const behind = { taskId: otherId, after: '0' };
    const gone = { taskId: 'task-x', after: '0' };
    expect(await reader.news([idle, behind, gone, idle])).toEqual([behind, gone]);
    await write(run, chunk('3'));
    expect(await reader.news([idle])).toEqual([idle]);
    const read = { taskId: otherId, after: (await reader.page(behind))!.after };
    expect(await reader.news([read])).toEqual([]);
    gate.release();
    await fixture.becomes(otherId, 'completed');
    expect(await reader.news([read])).toEqual([read]);
    expect(await reader.news([])).toEqual([]);
  });
});
