import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, newFolder, postmasterOf, ServiceProcess } from '../support/service-process.js';
import { documentOf } from './documents.js';

const GONE = { code: 0, signal: null };

/** A service that brings its own database and its own token, as a new user starts it. */
const AS_NEW = { ADMIN_TOKEN: undefined };

describe('the service without a DATABASE_URL', () => {
  const dataDir = newFolder();
  let taskId: string;
  let token: string;

  afterAll(cleanUp);

  it('makes a database and a token at its first start, says where, and works', async () => {
    const service = await ServiceProcess.start({ dataDir, env: AS_NEW });
    expect(service.logs(`Creating a PostgreSQL 18 database in ${dataDir}/postgres`)).toHaveLength(1);
    const [initialized] = service.logs('Async workflow queue initialized with 5 workers');
    expect(initialized).toMatchObject({ workers: 5, worker_id: expect.stringMatching(/./), context: 'Queue' });
    expect(service.logs(`Listening on ${service.url}`)[0]).toMatchObject({
      docs: `${service.url}/api/docs`,
      role: 'all',
    });
    expect(service.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);

    const file = join(dataDir, 'admin-token');
    await service.waitForLog(`The admin token is in ${file}`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    token = readFileSync(file, 'utf8').trim();
    expect(token).toMatch(/^tp_[\w-]{43}$/);
    expect(service.stdout).not.toContain(token);
    expect((await service.get('/api/tasks', { token })).status).toBe(200);

    for (const path of ['/health', '/ready']) {
      const answer = await service.get(path, { token: null });
      expect([answer.status, answer.json]).toEqual([200, { status: 'ok' }]);
    }
    taskId = await service.submit(documentOf('echo kept'));
    await service.waitForTask(taskId, 'completed');
    expect(postmasterOf(dataDir)).toBeDefined();
    expect(await service.stop()).toEqual(GONE);
    expect(postmasterOf(dataDir)).toBeUndefined();
    expect(service.logs().filter(({ level }) => Number(level) >= 40)).toEqual([]);
  });

  it('has its tasks and its token again after a restart; a second service on its folder is refused', async () => {
    const service = await ServiceProcess.start({ dataDir, env: AS_NEW });
    expect(service.token).toBe(token);
    expect(await service.task(taskId)).toMatchObject({ status: 'completed', attempt: 1 });
    expect((await service.get(`/api/tasks/${taskId}/logs`)).text).toBe('kept\n');

    const second = ServiceProcess.launch({ dataDir, env: AS_NEW });
    expect(await second.exited).toEqual({ code: 1, signal: null });
    expect(second.stderr).toBe(
      `Turnpike cannot start: Another Turnpike service uses the data folder ${dataDir}: ` +
        "stop it, or set DATA_DIR to a folder of this one's own\n",
    );

    const later = await service.submit(documentOf('echo still here'));
    await service.waitForTask(later, 'completed');
    expect(await service.stop()).toEqual(GONE);
  });

  it('takes over the database that a killed service has left running', async () => {
    const killed = await ServiceProcess.start({ dataDir, env: AS_NEW });
    const kept = await killed.submit(documentOf('true'), '?delay=1h');
    const postmaster = postmasterOf(dataDir);
    killed.signal('SIGKILL');
    await killed.exited;
    expect(postmasterOf(dataDir)).toBe(postmaster);

    const service = await ServiceProcess.start({ dataDir, env: AS_NEW });
    expect(postmasterOf(dataDir)).toBe(postmaster);
    expect(await service.task(kept)).toMatchObject({ status: 'scheduled' });
    const next = await service.submit(documentOf('true'));
    await service.waitForTask(next, 'completed');
    expect(await service.stop()).toEqual(GONE);
    expect(postmasterOf(dataDir)).toBeUndefined();
  });
});
