import type { FastifyReply } from 'fastify';
import type { Principal } from '../auth/principal.js';
import { standIn } from '../../test/support/queue-doubles.js';
import { Settings } from '../config/settings.js';
import { BulkOperations, JobNotFoundError, JobStateError } from '../queue/bulk/bulk-operations.js';
import type { Job } from '../queue/store/job-store.js';
import { BulkService } from './bulk.service.js';

const by = { actor: 'ada', requestId: 'req-1' };
const time = new Date('2026-01-31T13:00:00Z');

const aJob = (changes: Partial<Job> = {}): Job => ({
  id: '7',
  kind: 'redrive',
  filter: { appName: 'shop' },
  reason: null,
  by,
  status: 'running',
  total: 2_000,
  done: 500,
  position: '500',
  error: null,
  asOf: '2026-01-31 13:00:00+00',
  createdAt: time,
  updatedAt: time,
  endedAt: null,
  ...changes,
});

function setup(operations: Partial<Record<keyof BulkOperations, jest.Mock>>, settings: Partial<Settings> = {}) {
  const reply = { status: jest.fn().mockReturnThis(), header: jest.fn().mockReturnThis() };
  const service = new BulkService(standIn<BulkOperations>(operations), Object.assign(new Settings(), settings));
  return { service, reply: reply as unknown as FastifyReply & typeof reply };
}

const ada: Principal = { name: 'ada', roles: ['operator'] };
const asked = { caller: ada, requestId: by.requestId };

const body = (value: object) => Buffer.from(JSON.stringify(value));

describe('BulkService', () => {
  it('answers with the count where few tasks are meant', async () => {
    const start = jest.fn(async () => ({ count: 3 }));
    const { service, reply } = setup({ start });
    expect(await service.start('cancel', body({ app_name: 'shop', reason: 'wrong' }), asked, reply)).toEqual({
      count: 3,
    });
    const options = { dryRun: false, reason: 'cancelled by ada: wrong' };
    expect(start).toHaveBeenCalledWith('cancel', { appName: 'shop' }, by, options);
    expect(reply.status).not.toHaveBeenCalled();
  });

  it('answers with 202 and the way to the job where they are many', async () => {
    const { service, reply } = setup({ start: jest.fn(async () => ({ count: 2_000, job: aJob() })) });
    const links = { self: '/api/queue/jobs/7', stop: '/api/queue/jobs/7/stop' };
    expect(await service.start('redrive', body({ all: true }), asked, reply)).toEqual({
      count: 2_000,
      job: '7',
      links,
    });
    expect(reply.status).toHaveBeenCalledWith(202);
    expect(reply.header).toHaveBeenCalledWith('Location', '/api/queue/jobs/7');
  });

  it('redrives no own steps where they are switched off', async () => {
    const start = jest.fn(async () => ({ count: 3 }));
    const { service, reply } = setup({ start }, { INLINE_WORKFLOWS: 'off' });
    for (const kind of ['redrive', 'discard'] as const) await service.start(kind, body({ all: true }), asked, reply);
    const filters = start.mock.calls.map((call) => (call as unknown[])[1]);
    expect(filters).toEqual([{ inline: false }, {}]);
  });

  it('shows jobs page by page', async () => {
    const jobs = jest.fn(async () => [aJob({ id: '9' }), aJob({ id: '8' })]);
    const { service } = setup({ jobs });
    const page = await service.jobs({ limit: 1 }, ada);
    expect(page.jobs.map(({ id, filter, actor }) => ({ id, filter, actor }))).toEqual([
      { id: '9', filter: { app_name: 'shop' }, actor: 'ada' },
    ]);
    await service.jobs({ limit: 1, cursor: page.next_cursor! }, ada);
    expect(jobs.mock.calls).toEqual([
      [2, undefined, undefined],
      [2, '9', undefined],
    ]);
  });

  it('is for the applications of the caller only, and shows it the jobs it began itself', async () => {
    const start = jest.fn(async () => ({ count: 3 }));
    const jobs = jest.fn(async () => []);
    const job = jest.fn(async () => aJob());
    const { service, reply } = setup({ start, jobs, job });
    const eve: Principal = { name: 'eve', roles: ['operator'], scopes: ['sh*'] };
    await service.start('redrive', body({ all: true }), { caller: eve, requestId: 'r' }, reply);
    const signature = { actor: 'eve', requestId: 'r' };
    expect(start).toHaveBeenCalledWith('redrive', { apps: ['sh*'] }, signature, { dryRun: false, reason: null });
    await service.jobs({ limit: 1 }, eve);
    expect(jobs).toHaveBeenCalledWith(2, undefined, 'eve');
    await expect(service.job('7', eve)).rejects.toMatchObject({ code: 'job_not_found' });
    await expect(service.stop('7', { caller: eve, requestId: 'r' })).rejects.toMatchObject({ code: 'job_not_found' });
    expect(await service.job('7', { ...eve, name: 'ada' })).toMatchObject({ id: '7' });
  });

  it.each(['999', 'abc', '0', '-1', '99999999999999999999', 'a\0'])('knows no job %j', async (id) => {
    const job = jest.fn(async () => {
      throw new JobNotFoundError(id);
    });
    const { service } = setup({ job });
    await expect(service.job(id, ada)).rejects.toMatchObject({ code: 'job_not_found', status: 404 });
    expect(job).toHaveBeenCalledTimes(id === '999' ? 1 : 0);
  });

  it('refuses to stop a job that has ended, and names its state', async () => {
    const stop = jest.fn(async () => {
      throw new JobStateError('7', 'completed');
    });
    const { service } = setup({ stop, job: jest.fn(async () => aJob()) });
    await expect(service.stop('7', asked)).rejects.toMatchObject({
      code: 'conflict',
      detail: expect.stringContaining('the job is completed'),
    });
  });
});
