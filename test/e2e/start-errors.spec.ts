import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, newFolder, type ServiceOptions, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { documentOf } from './documents.js';

describe('a service that cannot start', () => {
  let database: TestDatabase;

  /** The words of one that finds a database which never answers: it takes its time. */
  let unanswered: Promise<string>;

  beforeAll(async () => {
    database = await createTestDatabase();
    const port = await serverThat(() => {});
    unanswered = complaint(withUrl((url) => (url.port = String(port))));
    unanswered.catch(() => {});
  });

  afterAll(async () => {
    await cleanUp();
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
    await database.drop();
  });

  /** Its only words on standard error. It must have ended by itself, with 1. */
  const complaint = async (options: ServiceOptions): Promise<string> => {
    const service = ServiceProcess.launch(options);
    expect([await service.exited, service.stderr]).toEqual([{ code: 1, signal: null }, expect.any(String)]);
    expect(service.stderr).toMatch(/^Turnpike cannot start: .*\n( {2}and .*\n)*$/);
    expect(service.stdout).not.toMatch(/"level":(40|50|60)/);
    expect(service.stdout + service.stderr).not.toMatch(/^\s+at /m);
    return service.stderr;
  };

  const servers: net.Server[] = [];
  const sockets: net.Socket[] = [];
  /** A server that is no PostgreSQL; its port. */
  const serverThat = async (answers: (socket: net.Socket) => void): Promise<number> => {
    const server = net.createServer((socket) => {
      sockets.push(socket.on('error', () => {}));
      answers(socket);
    });
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };

  const withUrl = (change: (url: URL) => void) => {
    const url = new URL(database.url);
    change(url);
    return { env: { DATABASE_URL: url.href } };
  };

  it('names all wrong settings at once, each with its value and what is allowed, and no secret', async () => {
    const env = {
      PORT: '80a',
      ROLE: 'both',
      QUEUE_WORKERS: '0',
      LOG_LEVEL: 'loud',
      DATABASE_URL: 'mysql://root:hunter2secret@localhost/x',
      ADMIN_TOKEN: 'tooshort',
    };
    const text = await complaint({ env });
    expect(text.split('\n').sort()).toEqual(
      [
        "Turnpike cannot start: PORT is '80a': it must be a whole number from 0 to 65535",
        "  and ROLE is 'both': it must be one of all, api, worker",
        '  and DATABASE_URL is (not shown): it must look like postgres://user:password@host:5432/database',
        '  and ADMIN_TOKEN is (not shown): it must have at least 16 characters, printable ASCII without spaces',
        "  and QUEUE_WORKERS is '0': it must be a whole number from 1 to 1000",
        "  and LOG_LEVEL is 'loud': it must be one of fatal, error, warn, info, debug, trace, silent",
        '',
      ].sort(),
    );
  });

  it('says that its port is in use, and by which settings to choose another', async () => {
    const port = await serverThat(() => {});
    const text = await complaint({ env: { DATABASE_URL: database.url, PORT: String(port) } });
    expect(text).toBe(
      `Turnpike cannot start: 127.0.0.1:${port} is in use. Stop what listens there, or set PORT to another port.\n`,
    );
  });

  it('takes no task while its port is in use', async () => {
    const first = await ServiceProcess.start({ env: { DATABASE_URL: database.url, ROLE: 'api' } });
    const taskId = await first.submit(documentOf('sleep 300'));
    await complaint({ env: { DATABASE_URL: database.url, PORT: new URL(first.url).port } });
    expect(await first.task(taskId)).toMatchObject({ status: 'pending', attempt: 0 });
    expect((await first.post(`/api/tasks/${taskId}/cancel`)).status).toBe(202);
  });

  it('says that it cannot listen on an address that is not its own', async () => {
    const text = await complaint({ env: { DATABASE_URL: database.url, HOST: '192.0.2.1' } });
    expect(text).toContain('cannot listen on 192.0.2.1 (EADDRNOTAVAIL). Set HOST and PORT to others.');
    const unknown = await complaint({ env: { DATABASE_URL: database.url, HOST: 'no-such-host.invalid' } });
    expect(unknown).toContain("HOST is 'no-such-host.invalid': it must be an address of this machine");
  });

  it('says that nothing answers at the database address', async () => {
    const unused = net.createServer().listen(0, '127.0.0.1');
    await once(unused, 'listening');
    const { port } = unused.address() as AddressInfo;
    unused.close();
    await once(unused, 'close');
    const text = await complaint(withUrl((url) => (url.port = String(port))));
    expect(text).toBe(
      `Turnpike cannot start: the database cannot be reached (connect ECONNREFUSED 127.0.0.1:${port}). ` +
        'Check DATABASE_URL, and that PostgreSQL runs.\n',
    );
  });

  it('says that the database host is unknown', async () => {
    const text = await complaint(withUrl((url) => (url.hostname = 'no-such-host.invalid')));
    expect(text).toMatch(/the database cannot be reached \(.*no-such-host\.invalid\)\. Check DATABASE_URL/);
  });

  it('says that something else than PostgreSQL answers', async () => {
    const port = await serverThat((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const text = await complaint(withUrl((url) => (url.port = String(port))));
    expect(text).toMatch(/database.*Check DATABASE_URL/);
  });

  it('says that a database does not answer', async () => {
    expect(await unanswered).toMatch(/the database cannot be reached \(.*\)\. Check DATABASE_URL/);
  });

  it('says that the password is wrong, without showing it', async () => {
    const text = await complaint(withUrl((url) => (url.password = 'hunter2secret')));
    expect(text).toBe(
      'Turnpike cannot start: the database refuses the connection ' +
        '(password authentication failed for user "turnpike"). Check DATABASE_URL.\n',
    );
  });

  it('says that the database does not exist', async () => {
    const text = await complaint(withUrl((url) => (url.pathname = '/nosuchdatabase')));
    expect(text).toContain('(database "nosuchdatabase" does not exist). Check DATABASE_URL.');
  });

  it('says that its data folder is a file', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'data'), '');
    const text = await complaint({ dataDir: folder, env: { DATA_DIR: join(folder, 'data') } });
    expect(text).toContain(`${folder}/data`);
    expect(text).toContain('DATABASE_URL');
  });

  it('says that the admin token it has kept is of no use', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'admin-token'), '\n');
    const env = { DATABASE_URL: database.url, ADMIN_TOKEN: undefined };
    const text = await complaint({ dataDir: folder, env });
    expect(text).toBe(
      `Turnpike cannot start: ${folder}/admin-token holds no usable token: delete it and start again\n`,
    );
  });
});
