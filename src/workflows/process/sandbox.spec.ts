import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join, sep } from 'node:path';
import { isRunning, until } from '../../../test/support/processes.js';
import { SandboxView } from './sandbox-view.js';
import { SandboxError, openSandbox, type SandboxOptions } from './sandbox.js';
import type { StepNetwork } from './bubblewrap.js';
import { runWatched, type WatchedEnd, type WatchedScript } from './watched-process.js';

const root = mkdtempSync(join(tmpdir(), 'sandbox-spec-'));
const dataDir = join(root, 'data');
const workspacesDir = join(dataDir, 'workspaces');
const secretsDir = join(root, 'shown', 'secrets');
const keyFile = join(root, 'shown', 'tls.key');
const options: SandboxOptions = {
  ...{ wanted: 'auto', network: 'host', binds: [], maxProcesses: 0, dataDir, workspacesDir },
  closed: { SECRETS_DIR: secretsDir, TLS_KEY_FILE: keyFile },
};
mkdirSync(workspacesDir, { recursive: true });
mkdirSync(secretsDir, { recursive: true });
writeFileSync(join(secretsDir, 'password'), 'secret');
writeFileSync(keyFile, 'secret');
afterAll(() => rmSync(root, { recursive: true, force: true }));

const sandbox = await openSandbox(options);
const works = sandbox.mode === 'bubblewrap';
const describeHere: (name: string, tests: () => void) => void = works
  ? describe
  : (name, tests) => describe.skip(`${name} (skipped: ${sandbox.reason})`, tests);

const isIn = (folder: string, path: string) => `${path}${sep}`.startsWith(`${folder}${sep}`);

const userHome = userInfo().homedir;

describeHere('a step in the sandbox', () => {
  const home = join(workspacesDir, 'task-1');
  const workspace = join(home, 'workspace');
  const runDir = join(home, 'run-1');

  beforeAll(() => {
    for (const folder of [workspace, runDir, join(workspacesDir, 'task-2')]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(dataDir, 'admin-token'), 'secret');
    writeFileSync(join(workspacesDir, 'task-2', 'theirs'), 'secret');
  });

  interface Run {
    readonly end: Promise<WatchedEnd>;
    readonly output: { stdout: string; stderr: string };
    readonly abort: AbortController;
  }

  function run(text: string, more: Partial<WatchedScript> = {}, network: StepNetwork = 'host', of = sandbox): Run {
    const output = { stdout: '', stderr: '' };
    const abort = new AbortController();
    const end = runWatched({
      script: { text },
      cwd: workspace,
      env: { PATH: '/usr/bin:/bin', HOME: workspace, TMPDIR: runDir, LD_PRELOAD: '' },
      lease: { deadline: () => performance.now() + 60_000, onRenewed: () => () => {} },
      killGraceSeconds: 30,
      signal: abort.signal,
      sandbox: of.bubblewrap!.command({ writable: [workspace, runDir], network }),
      onOutput: async (stream, chunk) => void (output[stream] += chunk.toString()),
      ...more,
    });
    end.catch(() => {});
    return { end, output, abort };
  }

  async function outputOf(text: string, more: Partial<WatchedScript> = {}, network?: StepNetwork): Promise<string> {
    const { end, output } = run(text, more, network);
    expect(await end).toEqual({ exitCode: 0, signal: null, ended: 'exited' });
    return output.stdout + output.stderr;
  }

  it('sees the system, and nothing of the service or of other tasks', async () => {
    const secrets = [
      dataDir,
      join(dataDir, 'admin-token'),
      join(workspacesDir, 'task-2'),
      process.cwd(),
      '/root',
      '/home',
    ];
    const seen = await outputOf(`
      for path in ${secrets.filter((path) => !isIn(path, userHome)).join(' ')}; do ls -A "$path" && echo "it sees $path"; done 2>/dev/null
      ls /etc/shadow /sys /var/lib /dev/shm/turnpike-* 2>/dev/null
      ls -d /usr/bin/env "$TMPDIR"`);
    // Of DATA_DIR it sees the way to its own folders.
    const expected = [`workspaces`, `it sees ${dataDir}`, runDir, '/usr/bin/env'];
    expect(seen.trim().split('\n')).toEqual(expected);
  });

  it('has an empty home where the list of users says, and what it writes there is gone with it', async () => {
    const own = join(userHome, 'turnpike-was-here');
    const seen = await outputOf(`
      cd ~${userInfo().username} && pwd && ls -A && mkdir -p .ansible/tmp && echo hi >${own} && cat ${own}`);
    expect(seen).toBe(`${userHome}\nhi\n`);
    expect(existsSync(own)).toBe(false);
  });

  it('changes its own folders only', async () => {
    const seen = await outputOf(`
      echo made >"$HOME/made"; echo made >"$TMPDIR/made"; echo private >/tmp/private-to-it && cat /tmp/private-to-it
      exec 2>/dev/null
      for place in / /usr /etc /opt /run /dev /var; do echo >"$place/new" && echo "made in $place"; done
      echo "$(cat /proc/sys/kernel/panic)" >/proc/sys/kernel/panic && echo 'a setting of the kernel'
      mount -t tmpfs none /usr && echo mounted
      touch /dev/shm/x && rm /dev/shm/x && echo shm`);
    expect(seen).toBe('private\nshm\n');
    expect(readFileSync(join(workspace, 'made'), 'utf8') + readFileSync(join(runDir, 'made'), 'utf8')).toBe(
      'made\nmade\n',
    );
    expect(existsSync('/tmp/private-to-it')).toBe(false);
  });

  it('sees no process but its own, the service and its environment least of all', async () => {
    const seen = await outputOf(`
      echo /proc/[0-9]*
      ls /proc/${process.pid}/environ /proc/$PPID/environ 2>&1 | grep -c .
      kill -0 ${process.pid} 2>/dev/null || echo unreachable`);
    expect(seen).toMatch(/^\/proc\/1 \/proc\/2( \/proc\/3)?\n2\nunreachable\n$/);
  });

  it('has the environment it was given, and bwrap does not act on that', async () => {
    const env = {
      PATH: '/usr/bin:/bin',
      'a.b': 'x=y',
      IFS: '+',
      LD_DEBUG: 'files',
      LD_DEBUG_OUTPUT: join(runDir, 'ld'),
    };
    // The dynamic linker writes a file for each process that is told so: from the first one inside.
    const seen = await outputOf('env -0 | sort -z | cut -z -d= -f1,2,3 | tr "\\0" ";"; ls $PWD/../run-1', { env });
    expect(seen).toContain('a.b=x=y;');
    expect(seen).toContain('ld.1\n');
    const pids = seen.match(/(?<=ld\.)\d+/g)!.map(Number);
    expect(Math.max(...pids)).toBeLessThan(20);
    const names = seen.split(';').flatMap((entry) => /^(\w[\w.]*)=/.exec(entry)?.[1] ?? []);
    expect(names).toEqual(expect.arrayContaining(['PATH', 'TURNPIKE_RUN']));
    const known = ['IFS', 'LD_DEBUG', 'LD_DEBUG_OUTPUT', 'PATH', 'PWD', 'SHLVL', 'TURNPIKE_RUN', '_', 'a.b', 'OLDPWD'];
    expect(names.filter((name) => !known.includes(name))).toEqual([]);
  });

  it('has the three standard descriptors, by name too', async () => {
    expect(await outputOf('ls /proc/$$/fd; echo a >/dev/stderr')).toBe('0\n1\n2\n255\na\n');
  });

  it('shows no secret on its command line', async () => {
    const { end, abort } = run('touch "$HOME/here"; sleep 60', {
      env: { PATH: '/usr/bin:/bin', HOME: workspace, TOKEN: 'tell-nobody' },
    });
    await until('it runs', () => existsSync(join(workspace, 'here')));
    const lines = execFileSync('sh', ['-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "'], {
      encoding: 'utf8',
    });
    expect(lines).toContain('--json-status-fd');
    expect(lines).not.toContain('tell-nobody');
    abort.abort('lost');
    expect(await end).toMatchObject({ ended: 'aborted' });
  });

  it('has no network where it is told so', async () => {
    const server = createServer((_, response) => response.end('reached')).listen(0, '127.0.0.1');
    await until('it listens', () => server.listening);
    const { port } = server.address() as AddressInfo;
    const ask = `exec 3<>/dev/tcp/127.0.0.1/${port} && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && grep -o reached <&3 || exit 0`;
    const words = async (network: StepNetwork) => (await outputOf(ask, {}, network)).trim();
    expect(await words('host')).toBe('reached');
    expect(await words('none')).toContain('Connection refused');
    expect(await outputOf('grep -c : /proc/net/dev', {}, 'none')).toBe('1\n');
    server.close();
  });

  it('keeps its exit code, and that of a signal', async () => {
    expect(await run('exit 3').end).toEqual({ exitCode: 3, signal: null, ended: 'exited' });
    const { end, output } = run('kill -SEGV $$');
    expect(await end).toEqual({ exitCode: 139, signal: null, ended: 'exited' });
    // What the first process says of the end is no output of the step's.
    expect(output).toEqual({ stdout: '', stderr: '' });
  });

  it('says that it could not be made, as no failure of the script', async () => {
    const lost = {
      command: sandbox.bubblewrap!.command({ writable: [], network: 'host' }).command,
      args: ['--bind', '/not/there', '/x'],
    };
    const { end, output } = run('echo never', { sandbox: lost });
    await expect(end).rejects.toThrow('its sandbox could not be set up: its output has the words of bwrap');
    expect(output).toEqual({ stdout: '', stderr: expect.stringContaining("Can't find source path /not/there") });
    // With the same words a script has failed by itself.
    expect(await run('echo "bwrap: no" >&2; exit 1').end).toMatchObject({ exitCode: 1 });
  });

  /** Writes the pid that it has outside into a file of the workspace, and one of a child that has left its session. */
  const TREE = `rm -f "$HOME/gone-away"; setsid bash -c 'grep NSpid /proc/self/status >"$HOME/gone-away"; trap "" TERM; sleep 100 & wait; wait' >/dev/null 2>&1 &
    sleep 100 & until [ -s "$HOME/gone-away" ]; do sleep 0.01; done; touch "$HOME/up"; `;

  /** Those of all processes that the run has started, once it has begun. */
  async function started(): Promise<number[]> {
    const up = join(workspace, 'up');
    await until('the script has begun', () => existsSync(up));
    rmSync(up);
    const found = execFileSync('sh', ['-c', `grep -lsF "HOME=${workspace}" /proc/[0-9]*/environ || true`], {
      encoding: 'utf8',
    });
    const pids = (found.match(/\d+/g) ?? []).map(Number);
    expect(pids.length).toBeGreaterThanOrEqual(4);
    return pids;
  }

  it('ends as a whole tree: with its script', async () => {
    const { end } = run(`${TREE} until [ -e "$HOME/end" ]; do sleep 0.01; done`);
    const pids = await started();
    writeFileSync(join(workspace, 'end'), '');
    expect(await end).toEqual({ exitCode: 0, signal: null, ended: 'exited' });
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it('… by a cancel, for which it has its grace', async () => {
    const { end, output, abort } = run(`trap 'echo cleaning; exit 4' TERM; ${TREE} wait; wait`);
    const pids = await started();
    abort.abort('cancelled');
    expect(await end).toEqual({ exitCode: 4, signal: null, ended: 'aborted' });
    expect(output.stdout).toBe('cleaning\n');
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it('… by a timeout and the end of the grace', async () => {
    const { end } = run(`trap '' TERM; ${TREE} wait; sleep 100`, { timeoutMs: 1000, killGraceSeconds: 0.2 });
    const pids = await started();
    expect(await end).toMatchObject({ ended: 'timeout' });
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it('hears of a cancel however early it comes', async () => {
    for (let round = 0; round < 20; round++) {
      const { end, abort } = run('sleep 100');
      setTimeout(() => abort.abort('cancelled'), round * 2);
      // The grace is longer than the test may take.
      expect(await end).toMatchObject({ ended: 'aborted' });
    }
  });

  it('is gone within a second when the service is killed, and when its watcher is', async () => {
    const script = join(root, 'service.sh');
    writeFileSync(script, `${TREE} wait; sleep 100`);
    const service = join(import.meta.dirname, '../../../test/support/step-service.ts');
    const child = spawn(process.execPath, ['--import', 'tsx', service, script, '60000', workspace], {
      stdio: 'ignore',
    });
    const pids = await started();
    child.kill('SIGKILL');
    await until('all is gone', () => !pids.some(isRunning), 1000);

    const { end } = run(`${TREE} sleep 100`);
    const others = await started();
    // Of the first process inside, the parent of bwrap.
    process.kill(parentOf(parentOf(Math.min(...others))), 'SIGKILL');
    await expect(end).rejects.toThrow('ended by others');
    await until('all is gone', () => !others.some(isRunning), 1000);
  });

  it('does not see the secrets and the key of the service in what it is shown, by whatever name', async () => {
    const [shown, link] = [join(root, 'shown'), join(root, 'link')];
    writeFileSync(join(shown, 'tool'), 'seen\n');
    symlinkSync(shown, link);
    for (const path of [shown, link]) {
      const its = await openSandbox({ ...options, binds: [{ path, writable: true }] });
      const { end, output } = run(`cd ${path}; cat tool tls.key secrets/*; ls -A secrets`, {}, 'host', its);
      expect(await end).toMatchObject({ exitCode: 0 });
      expect(output.stdout).toBe('seen\n');
    }
    rmSync(link);
  });

  it('counts processes inside it, but for root', async () => {
    const limited = await openSandbox({ ...options, maxProcesses: 20 });
    const fork = 'for ((i = 0; i < 30; i++)); do sleep 5 & done 2>/dev/null; jobs -p | wc -l';
    const { end, output } = run(fork, {}, 'host', limited);
    await end;
    if (process.getuid?.() === 0) expect(output.stdout).toBe('30\n');
    else expect(Number(output.stdout)).toBeLessThan(20);
  });
});

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

describe('openSandbox', () => {
  const refused = (changes: Partial<SandboxOptions>) => expect(openSandbox({ ...options, ...changes })).rejects;

  it('takes none where none is wanted, and says so', async () => {
    expect(await openSandbox({ ...options, wanted: 'off' })).toEqual({
      mode: 'off',
      reason: 'STEP_SANDBOX is off',
      network: 'host',
      networkProblem: 'STEP_SANDBOX is off',
    });
  });

  it('refuses to begin where there must be one, and bubblewrap is missing or does not work', async () => {
    const broken = join(root, 'bwrap');
    writeFileSync(broken, '#!/bin/sh\necho "bwrap: No permissions to create a namespace" >&2\nexit 1\n', {
      mode: 0o755,
    });
    const fix = 'or set STEP_SANDBOX=off if steps may see all that the service sees';
    for (const [programs, problem] of [
      [[join(root, 'none')], 'bubblewrap is not installed (apt-get install bubblewrap, or the like)'],
      [[root], 'bubblewrap does not work here ('],
      [[broken], 'bubblewrap does not work here (bwrap: No permissions to create a namespace): see docs/sandbox.md'],
    ] as const) {
      const must = refused({ wanted: 'bubblewrap', programs });
      await must.toThrow(SandboxError);
      await refused({ wanted: 'bubblewrap', programs }).toThrow(`STEP_SANDBOX is 'bubblewrap', but ${problem}`);
      await refused({ wanted: 'bubblewrap', programs }).toThrow(fix);
      // auto goes without, and says why.
      const auto = await openSandbox({ ...options, programs });
      expect(auto).toMatchObject({ mode: 'off', reason: expect.stringContaining(problem) });
      expect(auto.bubblewrap).toBeUndefined();
    }
  });

  it('refuses to begin where the network is to be taken away, and cannot', async () => {
    await refused({ wanted: 'off', network: 'none' }).toThrow(
      "STEP_NETWORK is 'none', which needs a sandbox, but STEP_SANDBOX is off; or set STEP_NETWORK=host",
    );
  });

  it.each([
    [dataDir, 'where the service keeps its own: name a folder below it'],
    [workspacesDir, 'where the service keeps its own'],
    [secretsDir, `and SECRETS_DIR is ${secretsDir}: no step may read that, take the bind out`],
    [join(secretsDir, 'password'), 'and SECRETS_DIR is'],
    [keyFile, `and TLS_KEY_FILE is ${keyFile}`],
    ['/dev/shm', 'are the scripts of all steps: name a folder below'],
    ['/not/there', 'which is not there: make it, or take it out'],
  ])('refuses the bind %s', async (path, why) => {
    process.env.TMPDIR_BEFORE = process.env.TMPDIR ?? '';
    delete process.env.TMPDIR;
    await refused({ binds: [{ path, writable: false }] }).toThrow(SandboxError);
    await refused({ binds: [{ path, writable: false }] }).toThrow(why);
    if (process.env.TMPDIR_BEFORE) process.env.TMPDIR = process.env.TMPDIR_BEFORE;
  });
});

describe('what the sandbox shows', () => {
  it('is decided by the mount that is nearest, by the name of a file and by what it leads to', () => {
    const [tools, own] = [join(root, 'tools'), join(root, 'tools', 'own')];
    mkdirSync(own, { recursive: true });
    for (const folder of [root, tools, own]) writeFileSync(join(folder, 'tool'), '', { mode: 0o755 });
    symlinkSync(join(root, 'tool'), join(tools, 'leads-out'));
    symlinkSync(join(tools, 'tool'), join(root, 'leads-in'));
    symlinkSync('/usr/bin/env', join(tools, 'leads-to-env'));
    const view = new SandboxView({ binds: [{ path: tools, writable: false }], hidden: [own, root] });
    const shown = (path: string) => view.shows(path);
    expect(['/usr/bin/env', '/bin/sh', join(tools, 'tool'), join(tools, 'leads-to-env')].map(shown)).toEqual(
      Array(4).fill(true),
    );
    const inHome = new SandboxView({ binds: [], hidden: ['/home/ci'], home: '/home/ci' });
    expect(inHome.arguments.filter((word) => word === '/home/ci')).toHaveLength(1);
    for (const home of ['/', '/usr/games', '/tmp/x', tools]) {
      const { arguments: words } = new SandboxView({ binds: [{ path: tools, writable: true }], hidden: [], home });
      expect(words).not.toContain('--perms');
    }
    const hidden = [
      join(root, 'tool'),
      join(own, 'tool'),
      join(tools, 'leads-out'),
      join(root, 'leads-in'),
      '/etc/shadow',
    ];
    expect(hidden.map(shown)).toEqual(Array(5).fill(false));
  });
});
