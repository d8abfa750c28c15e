import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { openSandbox } from '../../src/workflows/process/sandbox.js';
import { cleanUp, newFolder, ServiceProcess } from '../support/service-process.js';
import { documentOf } from './documents.js';

const CANARY = 'secret-in-the-environment-4711';
const dataDir = newFolder();

const { mode, reason } = await openSandbox({
  ...{
    wanted: 'auto',
    network: 'host',
    binds: [],
    maxProcesses: 0,
    dataDir,
    workspacesDir: join(dataDir, 'workspaces'),
    closed: {},
  },
});
const describeHere =
  mode === 'bubblewrap'
    ? describe
    : (name: string, tests: () => void) => describe.skip(`${name} (skipped: ${reason})`, tests);

/** All the ways to a secret of the service that a script has. It makes one find of its own, to show that it looks. */
const THIEF = (service: { dataDir: string; pid: number }) => `
  exec 2>&1
  echo own-find >admin-token
  for name in database-url admin-token postgres.password postgres/pg_hba.conf postgres/postmaster.pid; do
    cat "${service.dataDir}/$name"
  done
  env; set; export -p
  cat /proc/${service.pid}/environ /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'
  cat /proc/${service.pid}/root"${service.dataDir}"/admin-token /proc/1/root"${service.dataDir}"/database-url
  ls -laR "${service.dataDir}" /dev/shm /run /var/lib /root /home
  find / \\( -path /proc -o -path /usr -o -path /nix \\) -prune -o \\( -name admin-token -o -name database-url -o -name 'postgres.password' -o -name pg_hba.conf \\
    -o -name .env \\) -type f -print | while read -r file; do echo "found $file"; cat "$file"; done
  cd "${service.dataDir}" && ls -la
  mount -t proc proc /proc; ln -s "${service.dataDir}/database-url" "$HOME/link"; cat "$HOME/link"
  kill -0 ${service.pid} && echo "reaches the service"
  echo "has looked everywhere"`;

describeHere('a step of a service with all its secrets on the machine', () => {
  let service: ServiceProcess;

  beforeAll(async () => {
    service = await ServiceProcess.start({
      dataDir,
      // Its own database and token, as a new user starts it.
      env: { ADMIN_TOKEN: undefined, STEP_SANDBOX: 'bubblewrap', TURNPIKE_SECRET_CANARY: CANARY },
    });
  });
  afterAll(cleanUp);

  it('reads neither the password of the database nor the admin token, wherever they are kept', async () => {
    const read = (name: string) => readFileSync(join(dataDir, name), 'utf8').trim();
    const url = read('database-url');
    const secrets = [url, new URL(url).password, read('postgres.password'), service.token, CANARY];
    for (const secret of secrets) expect(secret.length).toBeGreaterThan(15);
    // The thief runs while all is there to be stolen.
    expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(true);
    expect(readFileSync(`/proc/${service.pid}/environ`, 'utf8')).toContain(CANARY);

    const taskId = await service.submit(documentOf(THIEF({ dataDir: realpathSync(dataDir), pid: service.pid })));
    await service.waitForTask(taskId, 'completed', 50_000);
    const log = (await service.get(`/api/tasks/${taskId}/logs`)).text;
    expect(log).toContain('has looked everywhere');
    expect(log).toContain('TASK_ID=');
    expect(log.match(/^found .*/gm)).toEqual([expect.stringMatching(/\/workspaces\/.*\/admin-token$/)]);
    expect(log).toContain('own-find');
    expect(log).not.toContain('reaches the service');
    expect(log).not.toMatch(/PG_VERSION|postgres:\/\/|scram/);
    for (const secret of secrets) expect([secret, log.includes(secret)]).toEqual([secret, false]);
  });
});
