import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isRunning, until, writtenPids } from '../../../test/support/processes.js';
import type { AbortReason } from '../../queue/task-handler.js';
import { runWatched, type WatchedEnd, type WatchedScript } from './watched-process.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** Ignores SIGTERM, and so does all it starts. */
const STUBBORN = `trap '' TERM`;

class TestLease {
  private readonly listeners = new Set<() => void>();
  constructor(private end: number) {}
  static for(ms: number): TestLease {
    return new TestLease(performance.now() + ms);
  }
  deadline(): number {
    return this.end;
  }
  onRenewed(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  renew(ms: number): void {
    this.end = performance.now() + ms;
    this.listeners.forEach((listener) => listener());
  }
  get watched(): boolean {
    return this.listeners.size > 0;
  }
}

describe('runWatched', () => {
  let directory: string;
  let pidFile: string;
  let count = 0;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'watched-spec-'));
    pidFile = join(directory, 'pids');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  interface Run {
    readonly end: Promise<WatchedEnd>;
    readonly stdout: () => string;
    readonly stderr: () => string;
    abort(reason: AbortReason): void;
  }

  function run(body: string, options: Partial<WatchedScript> = {}): Run {
    const script = join(directory, `${++count}.sh`);
    writeFileSync(script, body);
    const output = { stdout: '', stderr: '' };
    const abort = new AbortController();
    const end = runWatched({
      script,
      cwd: directory,
      env: { PATH: process.env.PATH ?? '', PIDS: pidFile },
      lease: TestLease.for(60_000),
      killGraceSeconds: 30,
      signal: abort.signal,
      onOutput: async (stream, chunk) => void (output[stream] += chunk.toString()),
      ...options,
    });
    end.catch(() => {});
    return { end, stdout: () => output.stdout, stderr: () => output.stderr, abort: (reason) => abort.abort(reason) };
  }

  async function expectGone(pids: number[], limitMs = 1000): Promise<void> {
    await until(`end of ${pids.join(', ')}`, () => !pids.some(isRunning), limitMs);
  }

  describe('a script that ends by itself', () => {
    it('delivers its output and its exit code', async () => {
      const { end, stdout, stderr } = run('echo out; echo err >&2; printf more');
      expect(await end).toEqual({ exitCode: 0, signal: null, ended: 'exited' });
      expect(stdout()).toBe('out\nmore');
      expect(stderr()).toBe('err\n');
    });

    it.each([1, 3, 127, 128, 130, 137, 143, 255])('with exit code %d', async (code) => {
      const { end, stderr } = run(`exit ${code}`);
      expect(await end).toEqual({ exitCode: code, signal: null, ended: 'exited' });
      expect(stderr()).toBe('');
    });

    it.each(['SIGKILL', 'SIGSEGV', 'SIGUSR1', 'SIGALRM', 'SIGABRT'])('by %s', async (signal) => {
      const { end, stdout, stderr } = run(`kill -s ${signal.slice(3)} $$; sleep 10`);
      expect(await end).toEqual({ exitCode: null, signal, ended: 'exited' });
      // What bash says about its jobs ("Killed", "Segmentation fault") is no output of the step.
      expect(stdout() + stderr()).toBe('');
    });

    it.each([
      ['HUP', 129],
      ['INT', 130],
      ['PIPE', 141],
      ['TERM', 143],
    ])('by SIG%s, which bash cannot tell from an exit', async (signal, exitCode) => {
      const { end, stderr } = run(`kill -s ${signal} $$; sleep 10`);
      expect(await end).toEqual({ exitCode, signal: null, ended: 'exited' });
      expect(stderr()).toBe('');
    });

    it('has nothing to read from', async () => {
      const { end, stdout } = run('cat; read -r line || echo "end of file"');
      expect(await end).toMatchObject({ exitCode: 0 });
      expect(stdout()).toBe('end of file\n');
    });

    it('may open its output by name', async () => {
      const { end, stdout, stderr } = run('echo a > /dev/stderr; echo b > /dev/stdout; echo c | tee /dev/stderr');
      expect(await end).toMatchObject({ exitCode: 0 });
      expect(stderr()).toBe('a\nc\n');
      expect(stdout()).toBe('b\nc\n');
    });

    it('has the three standard descriptors and no other', async () => {
      const { end, stdout } = run('ls /proc/$$/fd');
      await end;
      // 255 is where bash itself has its script, close-on-exec.
      expect(stdout().trim().split('\n')).toEqual(['0', '1', '2', '255']);
    });

    it('keeps binary output intact', async () => {
      const hash = createHash('sha256');
      const { end, stderr } = run(
        'head -c 3000000 /dev/urandom > data; printf "\\0\\377\\n" >> data; cat data; sha256sum < data >&2',
        {
          onOutput: async (stream, chunk) => {
            if (stream === 'stdout') hash.update(chunk);
            else writeFileSync(join(directory, 'sum'), chunk, { flag: 'a' });
          },
        },
      );
      expect(await end).toMatchObject({ exitCode: 0 });
      expect(stderr()).toBe('');
      expect(readFileSync(join(directory, 'sum'), 'utf8')).toBe(`${hash.digest('hex')}  -\n`);
    });

    it('takes what it left in its process group with it', async () => {
      const { end } = run(
        `${STUBBORN}; (sleep 300) & echo $! >> $PIDS; (while :; do sleep 300; done) & echo $! >> $PIDS`,
      );
      expect(await end).toEqual({ exitCode: 0, signal: null, ended: 'exited' });
      for (const pid of await writtenPids(pidFile, 2)) expect(isRunning(pid)).toBe(false);
    });

    it('does not wait for a process of another session that holds its output', async () => {
      const { end, stdout } = run(
        'echo before; setsid bash -c "echo \\$\\$ >> $PIDS; exec sleep 300" & until [ -s $PIDS ]; do :; done',
      );
      const [pid] = (await writtenPids(pidFile, 1)) as [number];
      const started = performance.now();
      expect(await end).toMatchObject({ exitCode: 0 });
      expect(performance.now() - started).toBeLessThan(3000);
      expect(stdout()).toBe('before\n');
      expect(isRunning(pid)).toBe(true);
      process.kill(pid, 'SIGKILL');
    });

    it('does not listen for good to a process of another session that goes on writing', async () => {
      const { end } = run('setsid bash -c "echo \\$\\$ >> $PIDS; exec yes" & until [ -s $PIDS ]; do :; done', {
        onOutput: async () => {},
      });
      expect(await end).toMatchObject({ exitCode: 0 });
      // With its reader gone, it ends by SIGPIPE.
      await expectGone(await writtenPids(pidFile, 1));
    });
  });

  describe('the environment', () => {
    it('is what was given, and nothing of the service', async () => {
      process.env.SERVICE_SECRET = 'do-not-leak';
      try {
        const { end, stdout } = run('env -0; tr "\\0" "\\n" < /proc/$PPID/environ', {
          env: { PATH: '/usr/bin:/bin', A: 'b c\nd' },
        });
        expect(await end).toMatchObject({ exitCode: 0 });
        expect(stdout()).not.toContain('do-not-leak');
        const variables = stdout().split('\0').slice(0, -1);
        expect(variables.map((variable) => variable.split('=')[0]).sort()).toEqual(
          ['A', 'PATH', 'PWD', 'SHLVL', 'TURNPIKE_RUN', '_'].sort(),
        );
        expect(variables).toEqual(expect.arrayContaining(['A=b c\nd', 'SHLVL=1', `PWD=${directory}`]));
      } finally {
        delete process.env.SERVICE_SECRET;
      }
    });

    it('may have names that mean something to the watcher', async () => {
      const names = [
        'marker',
        'left',
        'script',
        'directory',
        'self',
        'group',
        'status',
        'forced',
        'slot',
        'fd',
        'control',
      ];
      const special = ['IFS', 'TMOUT', 'CDPATH', 'LD_X', 'LC_ALL', 'LANG', 'OPTIND', 'REPLY', 'PROMPT_COMMAND', 'HOME'];
      const env: Record<string, string> = { PATH: '/usr/bin:/bin', 'with.dot': 'x', '-i': 'x', BASH_ENV: '/dev/null' };
      for (const name of names) env[name] = `value of ${name}`;
      for (const name of special) env[name] = '1';
      const { end, stdout, stderr } = run('env -0', { env });
      expect(await end).toEqual({ exitCode: 0, signal: null, ended: 'exited' });
      const seen = Object.fromEntries(
        stdout()
          .split('\0')
          .map((entry) => [entry.split('=')[0], entry.replace(/^[^=]*=/, '')]),
      );
      // Of these two bash takes no value from outside, with or without a watcher.
      const expected = Object.entries(env).filter(([name]) => !['IFS', 'OPTIND'].includes(name));
      expect(seen).toMatchObject(Object.fromEntries(expected));
      // It is the step's own bash that has something to say about LC_ALL=1, once.
      expect(stderr().match(/setlocale/g)?.length ?? 0).toBeLessThanOrEqual(1);
    });

    it.each([
      "it's",
      "'; exit 7 #",
      "'\\''",
      '$(exit 7)',
      '`exit 7`',
      '\\',
      '"',
      '\n) exit 7',
      '!!',
      'ä\u2028',
      '*',
      '',
    ])('holds %j as it is, exported or set by env', async (value) => {
      const env = { PATH: '/usr/bin:/bin', PLAIN: value, 'with.dot': value };
      const { end, stdout } = run('env -0', { env });
      expect(await end).toMatchObject({ exitCode: 0 });
      expect(stdout().split('\0')).toEqual(expect.arrayContaining([`PLAIN=${value}`, `with.dot=${value}`]));
    });

    it('reaches the shell options of the script', async () => {
      const { end } = run('false | true', { env: { PATH: '/usr/bin:/bin', SHELLOPTS: 'pipefail' } });
      expect(await end).toMatchObject({ exitCode: 1 });
    });

    it('has the marker of the run, whatever the step says', async () => {
      const { end, stdout } = run('echo $TURNPIKE_RUN', { env: { TURNPIKE_RUN: 'mine' } });
      await end;
      expect(stdout()).toMatch(/^[0-9a-f]{16}\n$/);
    });

    it('may be too large for the system', async () => {
      const { end, stderr } = run('echo hi', { env: { BIG: 'x'.repeat(200_000) } });
      expect(await end).toMatchObject({ exitCode: 126, ended: 'exited' });
      expect(stderr()).toContain('Argument list too long');
    });
  });

  describe('an order to end', () => {
    it.each(['cancelled', 'timeout', 'shutdown'] as const)('is SIGTERM first: %s', async (reason) => {
      const { end, stdout, abort } = run(
        `trap 'echo bye; exit 7' TERM; echo $$ >> $PIDS; while :; do sleep 0.01; done`,
      );
      await writtenPids(pidFile, 1);
      abort(reason);
      expect(await end).toEqual({ exitCode: 7, signal: null, ended: 'aborted' });
      expect(stdout()).toBe('bye\n');
    });

    it('becomes SIGKILL after the grace, for the whole group', async () => {
      const { end, abort } = run(
        `${STUBBORN}; (while :; do sleep 300; done) & echo $! >> $PIDS; echo $$ >> $PIDS; while :; do sleep 300; done`,
        { killGraceSeconds: 0.3 },
      );
      const pids = await writtenPids(pidFile, 2);
      const started = performance.now();
      abort('cancelled');
      expect(await end).toEqual({ exitCode: null, signal: 'SIGKILL', ended: 'aborted' });
      expect(performance.now() - started).toBeGreaterThanOrEqual(300);
      expect(pids.some(isRunning)).toBe(false);
    });

    it('is SIGKILL at once when the lease is lost', async () => {
      const { end, abort } = run(`trap 'exit 0' TERM; echo $$ >> $PIDS; while :; do sleep 0.01; done`);
      await writtenPids(pidFile, 1);
      abort('lost');
      expect(await end).toEqual({ exitCode: null, signal: 'SIGKILL', ended: 'aborted' });
    });

    it('reaches what the script left behind when it obeyed', async () => {
      const { end, abort } = run(
        `trap 'exit 0' TERM; (trap '' TERM; while :; do sleep 300; done) & echo $! >> $PIDS; while :; do sleep 0.01; done`,
      );
      const pids = await writtenPids(pidFile, 1);
      abort('cancelled');
      expect(await end).toEqual({ exitCode: 0, signal: null, ended: 'aborted' });
      expect(pids.some(isRunning)).toBe(false);
    });

    it('reaches a stopped script', async () => {
      const { end, abort } = run('echo $$ >> $PIDS; kill -STOP $$; sleep 300');
      await writtenPids(pidFile, 1);
      abort('cancelled');
      expect(await end).toEqual({ exitCode: 143, signal: null, ended: 'aborted' });
    });

    it.each([
      ['in time', 'trap "exit 0" TERM', 30],
      ['after the grace', STUBBORN, 0.2],
    ])('sweeps up what left the group, when the script ends %s', async (_when, trap, killGraceSeconds) => {
      const { end, abort } = run(
        `${trap}; setsid bash -c "trap '' TERM; echo \\$\\$ >> $PIDS; while :; do sleep 300; done" & while :; do sleep 0.01; done`,
        { killGraceSeconds },
      );
      const pids = await writtenPids(pidFile, 1);
      abort('cancelled');
      expect(await end).toMatchObject({ ended: 'aborted' });
      await expectGone(pids);
    });

    it('comes from the timeout', async () => {
      const { end, stdout } = run('echo begun; (sleep 300) & echo $! >> $PIDS; sleep 300', { timeoutMs: 300 });
      expect(await end).toEqual({ exitCode: 143, signal: null, ended: 'timeout' });
      expect(stdout()).toBe('begun\n');
      await expectGone(await writtenPids(pidFile, 1));
    });

    it('does not come early from a timeout longer than a timer can hold', async () => {
      const { end } = run('sleep 0.1', { timeoutMs: 40 * 86_400_000 });
      expect(await end).toMatchObject({ exitCode: 0, ended: 'exited' });
    });

    it('given before the start starts nothing', async () => {
      const first = run(`echo $$ >> $PIDS`, { signal: AbortSignal.abort('cancelled') });
      const second = run(`echo $$ >> $PIDS`, { lease: TestLease.for(-1) });
      for (const { end } of [first, second])
        expect(await end).toEqual({ exitCode: null, signal: null, ended: 'aborted' });
      expect(existsSync(pidFile)).toBe(false);
    });

    it('given while the script starts ends it', async () => {
      for (let round = 0; round < 10; round++) {
        const { end, abort } = run('sleep 300');
        await delay(round);
        abort(round % 2 ? 'cancelled' : 'lost');
        expect(await end).toMatchObject({ ended: 'aborted' });
      }
    });

    it('makes the first of two reasons count, and the abort of the run in any case', async () => {
      const { end, abort } = run(`${STUBBORN}; echo $$ >> $PIDS; while :; do sleep 300; done`, { timeoutMs: 200 });
      await writtenPids(pidFile, 1);
      await delay(300);
      abort('lost');
      expect(await end).toEqual({ exitCode: null, signal: 'SIGKILL', ended: 'aborted' });
    });
  });

  describe('the lease', () => {
    it('ends the script when it is over', async () => {
      const started = performance.now();
      const { end } = run(`${STUBBORN}; sleep 300 & echo $! >> $PIDS; sleep 300`, { lease: TestLease.for(500) });
      expect(await end).toEqual({ exitCode: null, signal: 'SIGKILL', ended: 'aborted' });
      expect(performance.now() - started).toBeGreaterThanOrEqual(450);
      await expectGone(await writtenPids(pidFile, 1));
    });

    it('is prolonged by renewal', async () => {
      const lease = TestLease.for(400);
      const timer = setInterval(() => lease.renew(400), 100);
      const { end } = run('sleep 1.2', { lease });
      expect(await end).toEqual({ exitCode: 0, signal: null, ended: 'exited' });
      clearInterval(timer);
      expect(lease.watched).toBe(false);
    });

    it('is not prolonged into the past, and never prolongs the grace', async () => {
      const lease = TestLease.for(60_000);
      const expired = run('sleep 300', { lease: TestLease.for(60_000) });
      const { end, abort } = run(`${STUBBORN}; echo $$ >> $PIDS; while :; do sleep 300; done`, {
        lease,
        killGraceSeconds: 0.4,
      });
      await writtenPids(pidFile, 1);
      abort('cancelled');
      const timer = setInterval(() => lease.renew(60_000), 50);
      expect(await end).toEqual({ exitCode: null, signal: 'SIGKILL', ended: 'aborted' });
      clearInterval(timer);
      expired.abort('lost');
      await expired.end;
      const late = TestLease.for(60_000);
      const other = run('echo $$ >> $PIDS; sleep 300', { lease: late });
      await writtenPids(pidFile, 2);
      late.renew(-1);
      expect(await other.end).toEqual({ exitCode: null, signal: 'SIGKILL', ended: 'aborted' });
    });
  });

  describe('the service', () => {
    let service: ChildProcess;
    let temporary: string;

    function startService(body: string, leaseMs: number): void {
      const script = join(directory, 'service.sh');
      writeFileSync(script, body);
      temporary = mkdtempSync(join(directory, 'tmp-'));
      service = spawn(
        process.execPath,
        ['--import', 'tsx', join(ROOT, 'test/support/step-service.ts'), script, String(leaseMs)],
        {
          cwd: ROOT,
          env: { ...process.env, TMPDIR: temporary, NODE_OPTIONS: '' },
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
    }
    afterEach(() => service.kill('SIGKILL'));

    const BODY = (pids: string) =>
      `${STUBBORN}; echo $$ >> ${pids}; (while :; do sleep 300; done) & echo $! >> ${pids}
       setsid bash -c "echo \\$\\$ >> ${pids}; while :; do sleep 300; done" & while :; do sleep 300; done`;

    it('takes its steps with it when it is killed', async () => {
      startService(BODY(pidFile), 60_000);
      const pids = await writtenPids(pidFile, 3);
      const host = parent(parent(pids[0]!));
      service.kill('SIGKILL');
      await expectGone(pids);
      await expectGone([host]);
      await until('removal of the pipes', () => !readdirSync(temporary).some((name) => name.startsWith('turnpike-')));
    });

    it('need not run for its steps to end with their lease', async () => {
      startService(BODY(pidFile), 1500);
      const pids = await writtenPids(pidFile, 3);
      service.kill('SIGSTOP');
      await delay(300);
      expect(pids.every(isRunning)).toBe(true);
      await expectGone(pids, 2500);
      let answer = '';
      service.stdout!.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      service.kill('SIGCONT');
      await once(service, 'exit');
      expect(JSON.parse(answer)).toEqual({ exitCode: null, signal: 'SIGKILL', ended: 'aborted' });
    });

    it('is not ended by what ends its terminal or its control group', async () => {
      const { end } = run('echo $$ >> $PIDS; echo $PPID >> $PIDS; until [ -e go ]; do sleep 0.01; done; exit 4');
      const [, watcher] = (await writtenPids(pidFile, 2)) as [number, number];
      for (const pid of [watcher, parent(watcher)]) {
        for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(pid, signal);
      }
      startService('exit 0', 1000);
      await once(service, 'exit');
      writeFileSync(join(directory, 'go'), '');
      expect(await end).toEqual({ exitCode: 4, signal: null, ended: 'exited' });
      expect(await run('exit 5').end).toMatchObject({ exitCode: 5 });
    });
  });

  describe('a hostile step', () => {
    it('that kills its watcher is ended all the same', async () => {
      const { end } = run(
        `${STUBBORN}; (while :; do sleep 300; done) & echo $! >> $PIDS; echo $$ >> $PIDS
         setsid bash -c "echo \\$\\$ >> $PIDS; while :; do sleep 300; done" & until [ "$(wc -l < $PIDS)" = 3 ]; do :; done
         kill -KILL $PPID; while :; do sleep 300; done`,
      );
      await expect(end).rejects.toThrow('its watcher process was ended by others');
      const pids = await writtenPids(pidFile, 3);
      expect(pids.slice(0, 2).some(isRunning)).toBe(false);
      await expectGone(pids);
    });

    it('that stops its watcher is ended a little later', async () => {
      const { end, abort } = run('echo $$ >> $PIDS; kill -STOP $PPID; sleep 300', { killGraceSeconds: 0.1 });
      const pids = await writtenPids(pidFile, 1);
      abort('cancelled');
      expect(await end).toMatchObject({ ended: 'aborted' });
      await expectGone(pids);
    });

    it('that kills the host of all watchers harms no other', async () => {
      const other = run('echo $$ >> $PIDS; until [ -e go ]; do sleep 0.01; done; exit 6');
      await writtenPids(pidFile, 1);
      const { end } = run('kill -KILL "$(ps -o ppid= -p $PPID)"; exit 3');
      expect(await end).toMatchObject({ exitCode: 3 });
      await until('a new host', async () => (await run('exit 9').end.catch(() => undefined))?.exitCode === 9);
      writeFileSync(join(directory, 'go'), '');
      expect(await other.end).toMatchObject({ exitCode: 6 });
    });
  });

  describe('a start that fails', () => {
    it.each([
      ['a missing working directory', { cwd: '/nowhere' }, 'its working directory /nowhere cannot be entered'],
      ['a NUL in the environment', { env: { A: 'b\0c' } }, 'its environment or its working directory holds a NUL'],
    ])('for %s says so', async (_what, options, message) => {
      await expect(run('exit 0', options).end).rejects.toThrow(`it could not be started: ${message}`);
    });

    it('for a missing script is the exit of bash', async () => {
      const { end, stderr } = run('', { script: '/nowhere.sh' });
      expect(await end).toMatchObject({ exitCode: 127 });
      expect(stderr()).toContain('/nowhere.sh');
    });
  });

  describe('output', () => {
    it('is read no faster than it is consumed', async () => {
      const piece = 1024 * 1024;
      const progress = join(directory, 'progress');
      writeFileSync(progress, '');
      const written = () => readFileSync(progress, 'utf8').split('\n').length - 1;
      let received = 0;
      let lead = 0;
      let release = () => {};
      const held = new Promise<void>((resolve) => (release = resolve));
      const { end } = run(`for ((i = 0; i < 50; i++)); do head -c ${piece} /dev/zero; echo $i >> ${progress}; done`, {
        onOutput: async (_stream, chunk) => {
          await held;
          // What is written and not received lies in the pipe or in this process.
          lead = Math.max(lead, written() * piece - received);
          received += chunk.length;
          await delay(1);
        },
      });
      await delay(500);
      expect(written()).toBe(0);
      release();
      expect(await end).toMatchObject({ exitCode: 0 });
      expect(received).toBe(50 * piece);
      expect(lead).toBeLessThan(piece / 2);
    });

    it('arrives in full after the end of the script, however slow its consumer', async () => {
      let received = 0;
      const { end } = run('head -c 60000 /dev/zero; echo $$ >> $PIDS', {
        onOutput: async (_stream, chunk) => {
          await writtenPids(pidFile, 1);
          await delay(1500);
          received += chunk.length;
        },
      });
      expect(await end).toMatchObject({ exitCode: 0 });
      expect(received).toBe(60_000);
    });

    it('that cannot be delivered ends the script', async () => {
      const { end } = run('echo $$ >> $PIDS; echo hi; sleep 300', {
        onOutput: () => Promise.reject(new Error('the ledger is closed')),
      });
      await expect(end).rejects.toThrow('the ledger is closed');
      await expectGone(await writtenPids(pidFile, 1));
    });
  });

  it('runs several scripts at once, and many after each other', async () => {
    const runs = Array.from({ length: 60 }, (_, index) => ({ index, run: undefined as Run | undefined }));
    const queue = [...runs];
    await Promise.all(
      Array.from({ length: 5 }, async () => {
        for (let next = queue.shift(); next; next = queue.shift()) {
          next.run = run(`echo out ${next.index}; echo err ${next.index} >&2; exit ${next.index}`);
          expect(await next.run.end).toEqual({ exitCode: next.index, signal: null, ended: 'exited' });
        }
      }),
    );
    for (const { index, run: done } of runs) {
      expect(done?.stdout()).toBe(`out ${index}\n`);
      expect(done?.stderr()).toBe(`err ${index}\n`);
    }
  });

  it('leaves no file descriptors behind', async () => {
    const open = () => readdirSync('/proc/self/fd').length;
    await run('exit 0').end;
    const before = open();
    for (let round = 0; round < 5; round++) {
      await run('exit 0').end;
      await run('exit 0', { cwd: '/nowhere' }).end.catch(() => {});
    }
    expect(open()).toBeLessThanOrEqual(before);
  });
});

function parent(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}
