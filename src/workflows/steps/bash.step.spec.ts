import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Test } from '@nestjs/testing';
import { until } from '../../../test/support/processes.js';
import { SecretMasks } from '../secrets/secret-masks.js';
import type { ResolvedStep, StepConfig, StepContext, StepResult } from '../step-runner.js';
import { STEP_OPTIONS } from '../step-options.js';
import { CompiledSchema } from '../step-schema.js';
import { StepType } from '../step-type.decorator.js';
import { BashStep } from './bash.step.js';
import { ScriptRunner } from './script-runner.js';

describe('BashStep', () => {
  let root: string;
  let step: BashStep;

  beforeAll(async () => {
    const module = await Test.createTestingModule({
      providers: [BashStep, ScriptRunner, { provide: STEP_OPTIONS, useValue: { killGraceSeconds: 0.2 } }],
    }).compile();
    step = module.get(BashStep);
  });

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'bash-step-'));
    mkdirSync(join(root, 'workspace'));
    mkdirSync(join(root, 'run'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('is the runner of the type "bash"', () => {
    expect(Reflect.getMetadata(StepType.KEY, BashStep)).toBe('bash');
  });

  describe('its config', () => {
    it.each([{ command: 'true' }, { script: 'true\nfalse\n' }, { command: 'echo ${build.version}' }])(
      'may be %j',
      (config) => {
        expect(new CompiledSchema(step.schema).problems(config)).toEqual([]);
      },
    );

    it.each<[StepConfig, (string | number)[], string, string]>([
      [{}, ['command'], "'command' or 'script' is missing", 'Add "command: echo hello".'],
      [{ command: 3 }, ['command'], "'command' must be a script", 'Put it in quotes: "3"'],
      [{ command: null }, ['command'], "'command' must be a script", 'Write "" for'],
      [{ script: ['a'] }, ['script'], "'script' must be a script", 'Write one text instead of a list.'],
      [{ command: ' \n' }, ['command'], "'command' is not valid", 'It must be a script that is not empty'],
      [{ command: 'a\0b' }, ['command'], "'command' is not valid", 'holds no NUL character'],
      [{ command: 'a', script: 'a' }, ['script'], "'command' and 'script' cannot stand together", 'Keep one of them.'],
      [{ comand: 'a' }, ['comand'], "unknown key 'comand'", "Did you mean 'command'?"],
      [{ scrpit: 'a' }, ['scrpit'], "unknown key 'scrpit'", "Did you mean 'script'?"],
      [{ command: 'a', retries: 1 }, ['retries'], "unknown key 'retries'", 'Known here: command, script, network.'],
    ])('is refused where it is %j', (config, path, message, hint) => {
      const problems = new CompiledSchema(step.schema).problems(config);
      expect(problems).toHaveLength(1);
      expect(problems[0]?.path).toEqual(path);
      expect(problems[0]?.message).toContain(message);
      expect(problems[0]?.hint).toContain(hint);
    });
  });

  interface Outcome {
    readonly result: StepResult;
    readonly stdout: string;
    readonly stderr: string;
  }

  async function run(
    command: string,
    more: Partial<ResolvedStep> = {},
    context: Partial<StepContext> = {},
    of = step,
  ): Promise<Outcome> {
    const output = { stdout: '', stderr: '' };
    const result = await of.run(
      { name: 'x', type: 'bash', env: {}, config: { command }, ...more },
      {
        taskId: 'task-1',
        attempt: 2,
        workspace: join(root, 'workspace'),
        runDir: join(root, 'run'),
        signal: new AbortController().signal,
        lease: { deadline: () => performance.now() + 60_000, onRenewed: () => () => {} },
        masks: new SecretMasks(),
        write: async (stream, chunk) => void (output[stream] += chunk.toString()),
        ...context,
      },
    );
    return { result, ...output };
  }

  describe('run', () => {
    it('completes with the outputs', async () => {
      const { result, stdout, stderr } = await run(
        `echo hello; echo oh >&2; echo a=1 >> "$STEP_OUTPUT"; printf 'b<<E\\n1\\n2\\nE\\n' >> "$STEP_OUTPUT"`,
      );
      expect(result).toEqual({ status: 'completed', exitCode: 0, outputs: { a: '1', b: '1\n2' } });
      expect({ stdout, stderr }).toEqual({ stdout: 'hello\n', stderr: 'oh\n' });
    });

    it('takes the script under its other name', async () => {
      const { result } = await run('', { config: { script: 'exit 4' } });
      expect(result).toMatchObject({ status: 'failed', exitCode: 4 });
    });

    it.each([
      ['exit 3', 3, `step 'x' ended with exit code 3`],
      ["bash -c 'kill -SEGV $$'; exit $?", 139, `step 'x' ended with exit code 139 (128 + SIGSEGV)`],
      ['exit 250', 250, `step 'x' ended with exit code 250`],
      ['kill -SEGV $$', undefined, `step 'x' was ended by signal SIGSEGV`],
    ])('fails with %s, and keeps the outputs that are right', async (command, exitCode, errorMessage) => {
      const { result } = await run(`printf 'a=1\\nbad\\n' > $STEP_OUTPUT; ${command}`);
      expect(result).toEqual({
        status: 'failed',
        cause: 'step_failed',
        ...(exitCode === undefined ? {} : { exitCode }),
        errorMessage,
        outputs: { a: '1' },
      });
    });

    it.each([
      [`printf 'a=1\\nnot an output\\n' > $STEP_OUTPUT`, 'line 2 is neither key=value nor key<<DELIMITER', { a: '1' }],
      ['head -c 70000 /dev/zero > $STEP_OUTPUT', 'is larger than 64 KiB', {}],
      [`printf 'a=\\377' > $STEP_OUTPUT`, 'line 1 is not valid UTF-8', {}],
      ['ln -sf /etc/passwd $STEP_OUTPUT', 'could not be read (ELOOP)', {}],
    ])('fails with outputs that cannot be used: %s', async (command, problem, outputs) => {
      const { result } = await run(command);
      expect(result).toMatchObject({ status: 'failed', cause: 'step_failed', exitCode: 0, outputs });
      expect(result).toHaveProperty(
        'errorMessage',
        expect.stringContaining(`step 'x' ended well, but its outputs cannot be used: the file STEP_OUTPUT ${problem}`),
      );
    });

    it('ends with its timeout', async () => {
      const { result, stdout } = await run('echo a=1 > $STEP_OUTPUT; echo begun; sleep 300', { timeoutSeconds: 0.5 });
      expect(result).toEqual({
        status: 'failed',
        cause: 'timeout',
        exitCode: 143,
        errorMessage: `step 'x' took longer than its timeout of 0.5 s and was ended`,
        outputs: { a: '1' },
      });
      expect(stdout).toBe('begun\n');
    });

    it('ends when it is told to, after the configured grace', async () => {
      const abort = new AbortController();
      const running = run(`trap '' TERM; touch begun; while :; do sleep 0.1; done`, {}, { signal: abort.signal });
      await until('begin', () => readdirSync(join(root, 'workspace')).includes('begun'));
      abort.abort('cancelled');
      expect((await running).result).toEqual({ status: 'aborted' });
    });

    it('does not begin when it is told to end before', async () => {
      const { result } = await run('touch begun', {}, { signal: AbortSignal.abort('shutdown') });
      expect(result).toEqual({ status: 'aborted' });
      expect(readdirSync(join(root, 'workspace'))).toEqual([]);
    });

    it('runs in the workspace and leaves no files of its own', async () => {
      const { stdout } = await run('pwd; echo "$0"; stat -c %a "$0"; touch "$STEP_OUTPUT"; touch file', {
        name: '../../$(touch evil)',
      });
      const [cwd, script, ...modes] = stdout.trimEnd().split('\n');
      expect(cwd).toBe(join(root, 'workspace'));
      expect(script).toMatch(/^\/.*\/[0-9a-f-]{36}\.sh$/);
      expect(existsSync(script!)).toBe(false);
      expect(modes).toEqual(['600']);
      expect(readdirSync(join(root, 'workspace'))).toEqual(['file']);
      expect(readdirSync(join(root, 'run'))).toEqual([]);
    });

    it('takes a script of any size, which no process list shows', async () => {
      const { result, stdout } = await run(`: ${'x'.repeat(3_000_000)} secret-word\ntr '\\0' ' ' < /proc/$$/cmdline`);
      expect(result.status).toBe('completed');
      expect(stdout).not.toContain('secret-word');
    });

    it('has an environment of its own', async () => {
      process.env.SERVICE_SECRET = 'do-not-leak';
      process.env.TZ = 'Europe/Vienna';
      try {
        const { stdout } = await run('env -0', {
          env: { GREETING: 'hi', TASK_ID: 'mine', ATTEMPT: '9', STEP_OUTPUT: '/mine', TURNPIKE_RUN: 'mine', TZ: 'UTC' },
        });
        const env = Object.fromEntries(
          stdout
            .split('\0')
            .slice(0, -1)
            .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
        );
        for (const name of ['LANG', 'LC_ALL', 'LC_CTYPE']) delete env[name];
        expect(env).toEqual({
          PATH: process.env.PATH,
          HOME: join(root, 'workspace'),
          PWD: join(root, 'workspace'),
          TMPDIR: join(root, 'run'),
          TZ: 'UTC',
          GREETING: 'hi',
          TASK_ID: 'task-1',
          ATTEMPT: '2',
          STEP_OUTPUT: expect.stringMatching(new RegExp(`^${root}/run/[0-9a-f-]{36}\\.output$`)),
          TURNPIKE_RUN: expect.stringMatching(/^[0-9a-f]{16}$/),
          SHLVL: '1',
          _: expect.any(String),
        });
      } finally {
        delete process.env.SERVICE_SECRET;
        delete process.env.TZ;
      }
    });

    it('says why it could not begin', async () => {
      const missing = join(root, 'nowhere');
      expect((await run('true', {}, { workspace: missing })).result).toEqual({
        status: 'failed',
        cause: 'step_failed',
        errorMessage: `step 'x' failed: it could not be started: its working directory ${missing} cannot be entered`,
        outputs: {},
      });
      const aborted = await run('true', {}, { workspace: missing, signal: AbortSignal.abort('lost') });
      expect(aborted.result).toEqual({ status: 'aborted' });
    });

    it('does not begin where it is to be without network, and that cannot be done', async () => {
      const config = { command: 'touch ran', network: 'none' };
      const off = { mode: 'off', reason: 'x', network: 'host', networkProblem: 'bubblewrap is not installed' } as const;
      for (const [sandbox, problem] of [
        [undefined, 'STEP_SANDBOX is off'],
        [off, 'bubblewrap is not installed'],
      ] as const) {
        const runner = new ScriptRunner({ killGraceSeconds: 0.2, ...(sandbox && { sandbox }) });
        const { result } = await run('', { config }, {}, new BashStep(runner));
        expect(result).toMatchObject({
          ...{ status: 'failed', cause: 'step_failed' },
          errorMessage: `step 'x' failed: it is to run without network, which cannot be done on this worker: ${problem}`,
        });
        expect(existsSync(join(root, 'workspace', 'ran'))).toBe(false);
      }
    });

    it('may remove the directory of its run', async () => {
      const { result } = await run(`rm -rf '${join(root, 'run')}'; echo gone > file`);
      expect(result).toEqual({ status: 'completed', exitCode: 0, outputs: {} });
      expect(readFileSync(join(root, 'workspace', 'file'), 'utf8')).toBe('gone\n');
    });

    it('fails when it kills its watcher', async () => {
      const { result } = await run('kill -KILL $PPID; sleep 300');
      expect(result).toMatchObject({
        status: 'failed',
        cause: 'step_failed',
        errorMessage: `step 'x' failed: its watcher process was ended by others; what was left of it was killed`,
      });
    });
  });
});
