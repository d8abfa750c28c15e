import { spawnSync } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Test } from '@nestjs/testing';
import { aRun, type JournalDouble, TASK_ID } from '../../test/support/journal-double.js';
import type { StoredStep } from '../queue/task-handler.js';
import { SECRET_OPTIONS, SecretSource } from './secrets/secret-source.js';
import { StepRegistry } from './step-registry.js';
import type { ResolvedStep, StepConfig, StepContext, StepResult } from './step-runner.js';
import type { StepDefinition, Workflow } from './workflow.js';
import { EXECUTOR_OPTIONS, WorkflowExecutor } from './workflow-executor.js';
import { Workspaces, WORKSPACES_DIR } from './workspaces.js';

const step = (name: string, changes: Partial<StepDefinition> = {}): StepDefinition => ({
  ...{ name, type: 'fake', env: {}, config: {} },
  ...changes,
});
const spec = (...steps: StepDefinition[]) => ({ workflow: { steps } });
const completed: StepResult = { status: 'completed', exitCode: 0, outputs: {} };
const failed = (errorMessage: string): StepResult => ({
  ...{ status: 'failed', cause: 'step_failed', exitCode: 3, errorMessage, outputs: {} },
});
const SECRETS = { SECRET_TOKEN: 'Sesame-open-5', SECRET_KEY: 'line one of it\nline two of it', SECRET_SHORT: 'abc' };
const twice = {
  maxAttempts: 2,
  backoff: { type: 'fixed', initialSeconds: 0, factor: 1, maxSeconds: 1, jitter: 'none' },
} as const;
const stored = (name: string, changes: Partial<StoredStep> = {}): StoredStep => ({
  ...{ position: 0, name, type: 'fake', status: 'completed', attempt: 1, cause: null, errorMessage: null },
  ...{ outputs: {}, variables: {}, waitsFor: null, secondsLeft: null, decisions: [] },
  ...changes,
});

describe('WorkflowExecutor', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'turnpike-executor-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  type Run = (step: ResolvedStep, context: StepContext) => Promise<StepResult>;

  async function setup(run: Run = async () => completed, options: { parallelSteps?: number; missing?: string[] } = {}) {
    const runner = { scripts: ['script'], run: jest.fn(run) };
    const registry = {
      get: (type: string) => (type === 'fake' || type === 'approval' ? runner : undefined),
      validateResolved: (_: string, config: StepConfig) => ({
        config,
        problems: config.size === '' ? [{ path: ['size'], message: 'must be a number' }] : [],
      }),
      whereToLook: '',
      missingPrograms: jest.fn(async () => options.missing ?? []),
    };
    const module = await Test.createTestingModule({
      providers: [
        WorkflowExecutor,
        Workspaces,
        { provide: WORKSPACES_DIR, useValue: root },
        { provide: EXECUTOR_OPTIONS, useValue: { logLimitBytes: 1_000, parallelSteps: options.parallelSteps ?? 4 } },
        { provide: StepRegistry, useValue: registry },
        SecretSource,
        { provide: SECRET_OPTIONS, useValue: { envPrefix: 'SECRET_', env: SECRETS, isWorker: true } },
      ],
    }).compile();
    module.useLogger(false);
    const names = () => runner.run.mock.calls.map(([definition]) => definition.name);
    return { executor: module.get(WorkflowExecutor), workspaces: module.get(Workspaces), runner, registry, names };
  }

  /** Fails the steps of these names, each as often as it stands there. */
  function failing(...names: string[]): Run {
    const left = [...names];
    return async ({ name }) => {
      const at = left.indexOf(name);
      if (at < 0) return completed;
      left.splice(at, 1);
      return failed(`${name} broke`);
    };
  }

  describe('steps in their order', () => {
    it('run one after the other, with a checkpoint before and after each', async () => {
      const { executor, names } = await setup();
      const { run, journal } = aRun({ workflowSpec: spec(step('build'), step('deploy')) });
      expect(await executor.handle(run)).toEqual({ status: 'completed' });
      expect(names()).toEqual(['build', 'deploy']);
      expect(journal.entries).toEqual([
        'begin build,deploy',
        'start 0',
        'finish 0 completed',
        'start 1',
        'finish 1 completed',
      ]);
    });

    it('begin when all that came before them is stored, but for the first ones of a task', async () => {
      for (const attempt of [1, 2]) {
        const { run, journal } = aRun({ attempt, workflowSpec: spec(step('a'), step('b')) });
        const { executor } = await setup(async ({ name }) => {
          journal.entries.push(`run ${name}`);
          return completed;
        });
        journal.flush = async () => void journal.entries.push('flush');
        await executor.handle(run);
        expect(journal.entries).toEqual([
          ...['begin a,b', 'start 0', ...(attempt === 1 ? [] : ['flush']), 'run a', 'finish 0 completed'],
          ...['start 1', 'flush', 'run b', 'finish 1 completed'],
        ]);
      }
    });

    it('that had no chance to begin are closed', async () => {
      const { executor, names } = await setup();
      const { run, journal, abort } = aRun({ workflowSpec: spec(step('a'), step('b')) });
      abort('cancelled');
      expect(await executor.handle(run)).toEqual({ status: 'aborted' });
      expect(journal.entries).toEqual(['begin a,b', 'close cancelled']);
      expect(names()).toEqual([]);
    });

    it('run side by side where they may, at most so many', async () => {
      const waiting: (() => void)[] = [];
      const { executor, names } = await setup(() => new Promise((resolve) => waiting.push(() => resolve(completed))), {
        parallelSteps: 2,
      });
      const group = { parallelGroup: 'a' };
      const ending = executor.handle(
        aRun({ workflowSpec: spec(step('a', group), step('b', group), step('c', group), step('last')) }).run,
      );
      const next = async (begun: number) => {
        while (names().length < begun) await new Promise((resolve) => setImmediate(resolve));
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      };
      await next(2);
      expect(names()).toEqual(['a', 'b']);
      waiting[1]!();
      await next(3);
      expect(names()).toEqual(['a', 'b', 'c']);
      waiting[0]!();
      waiting[2]!();
      await next(4);
      waiting[3]!();
      expect(await ending).toEqual({ status: 'completed' });
      expect(names()).toEqual(['a', 'b', 'c', 'last']);
    });

    it('go on where a branch of a DAG failed, and skip what comes after the failure', async () => {
      const { executor, names } = await setup(failing('left'));
      const { run, journal } = aRun({
        workflowSpec: spec(
          step('left', { dependsOn: [] }),
          step('right', { dependsOn: [] }),
          step('after-left', { dependsOn: ['left'] }),
          step('after-right', { dependsOn: ['right'] }),
          step('last', { dependsOn: ['after-left', 'after-right'] }),
        ),
      });
      expect(await executor.handle(run)).toMatchObject({ status: 'failed', errorMessage: 'left broke' });
      expect(names().sort()).toEqual(['after-right', 'left', 'right']);
      expect(journal.entries.filter((entry) => entry.startsWith('skip')).join()).toMatch(
        /skip 2 \(step 'left' before it failed\).*skip 4 \(step 'left' before it failed\)/,
      );
    });
  });

  describe('a failure', () => {
    it('ends what comes after it, with its cause', async () => {
      const { executor } = await setup(failing('build'));
      const { run, journal } = aRun({ workflowSpec: spec(step('build'), step('deploy')) });
      expect(await executor.handle(run)).toEqual({
        ...{ status: 'failed', cause: 'step_failed', errorMessage: 'build broke', retryable: true },
      });
      expect(journal.entries).toEqual([
        'begin build,deploy',
        'start 0',
        'finish 0 failed step_failed',
        "skip 1 (step 'build' before it failed)",
      ]);
    });

    it('is not hidden by the steps that clean up after it', async () => {
      const { executor, names } = await setup(failing('build', 'clean'));
      const { run } = aRun({
        workflowSpec: spec(
          ...[step('build'), step('undo', { when: 'on_failure' }), step('clean', { when: 'always' })],
          step('deploy'),
        ),
      });
      expect(await executor.handle(run)).toMatchObject({ status: 'failed', errorMessage: 'build broke' });
      expect(names()).toEqual(['build', 'undo', 'clean']);
    });

    it('is none where the step may fail', async () => {
      const { executor, names } = await setup(failing('lint'));
      const steps = [step('lint', { continueOnError: true }), step('build', { if: 'lint.failed' })];
      const { run } = aRun({ workflowSpec: spec(...steps, step('undo', { when: 'on_failure' })) });
      expect(await executor.handle(run)).toEqual({ status: 'completed' });
      expect(names()).toEqual(['lint', 'build']);
    });

    it.each([true, false])('may be tried again (%s)', async (retryable) => {
      const { executor } = await setup(async () => ({ ...failed('verdict'), retryable }) as StepResult);
      expect(await executor.handle(aRun({ workflowSpec: spec(step('check')) }).run)).toMatchObject({ retryable });
    });

    it('brings the time of the next attempt, as the workflow has it', async () => {
      const { executor } = await setup(failing('build', 'build'));
      const backoff = { type: 'linear', initialSeconds: 10, factor: 1, maxSeconds: 60, jitter: 'none' } as const;
      const workflow: Workflow = { steps: [step('build')], retry: { maxAttempts: 5, backoff } };
      const { run } = aRun({ failures: 2, workflowSpec: { workflow } });
      expect(await executor.handle(run)).toMatchObject({ status: 'failed', retryInSeconds: 30 });
    });

    it('of a runner that throws, and of a type without a runner, is the step’s', async () => {
      const { executor } = await setup(async () => Promise.reject(new Error('no bash here')));
      const thrown = await executor.handle(aRun({ workflowSpec: spec(step('build')) }).run);
      expect(thrown).toMatchObject({ status: 'failed', errorMessage: "step 'build' could not be run: no bash here" });
      const unknown = await executor.handle(aRun({ workflowSpec: spec(step('build', { type: 'ansible' })) }).run);
      expect(unknown).toMatchObject({ errorMessage: expect.stringContaining("no runner for type 'ansible'") });
    });

    it('comes before anything runs where a program is missing', async () => {
      const { executor, runner } = await setup(undefined, { missing: ['terraform'] });
      const { run, journal } = aRun({ workflowSpec: spec(step('build'), step('infra')) });
      const errorMessage = "step 'build' needs terraform, which is not on this worker";
      expect(await executor.handle(run)).toMatchObject({ status: 'failed', cause: 'step_failed', errorMessage });
      expect(runner.run).not.toHaveBeenCalled();
      expect(journal.entries).toEqual([
        'begin build,infra',
        'finish 0 failed missing_program',
        'close missing_program',
      ]);
    });
  });

  describe('conditions', () => {
    it('skip a step, and say why', async () => {
      const { executor, names } = await setup();
      const { run, journal } = aRun({
        workflowSpec: {
          ...spec(
            step('dev', { env: { TARGET: '${environment.type}' }, if: '$TARGET == development' }),
            step('prod', { if: 'environment.type == production' }),
            step('tests', { unless: 'dev.skipped' }),
            step('undo', { when: 'on_failure' }),
          ),
          environment: { type: 'production' },
        },
      });
      expect(await executor.handle(run)).toEqual({ status: 'completed' });
      expect(names()).toEqual(['prod']);
      expect(journal.entries.filter((entry) => entry.startsWith('skip'))).toEqual([
        "skip 0 (if: $TARGET == development is false ($TARGET is 'production'))",
        'skip 2 (unless: dev.skipped is true (dev.skipped is true)), 3 (no step before it failed (when: on_failure))',
      ]);
    });

    it('without an answer fail the step', async () => {
      const { executor, names } = await setup();
      const steps = [step('a', { if: 'metadata.owner == me' }), step('b')];
      expect(await executor.handle(aRun({ workflowSpec: spec(...steps) }).run)).toMatchObject({
        status: 'failed',
        errorMessage: expect.stringContaining("step 'a': its condition has no answer: metadata.owner has no value"),
      });
      expect(names()).toEqual([]);
    });
  });

  describe('values', () => {
    it('come from the document, from steps before and from the variables they set', async () => {
      const { executor, runner } = await setup(async () => ({ status: 'completed', outputs: { version: '1.2' } }));
      const { run } = aRun({
        workflowSpec: {
          workflow: {
            variables: { REGION: 'eu' },
            steps: [
              step('build', { setVariables: { IMAGE: 'shop:${build.version}', REGION: '${workflow.REGION}-1' } }),
              step('deploy', { env: { A: '${workflow.IMAGE}' }, config: { to: ['${workflow.REGION}', 3] } }),
            ],
            outputs: { image: '${workflow.IMAGE}', lost: '${deploy.url}' },
          },
        },
      });
      expect(await executor.handle(run)).toEqual({ status: 'completed', result: { image: 'shop:1.2' } });
      expect(runner.run.mock.calls[1]![0]).toEqual({
        ...{ name: 'deploy', type: 'fake', env: { A: 'shop:1.2' }, config: { to: ['eu-1', 3] } },
      });
    });

    it('reach a script as variables only', async () => {
      const { executor, runner } = await setup();
      const workflowSpec = {
        ...spec(step('a', { env: { OWN: 'x' }, config: { script: 'echo "${metadata.name}" ${OWN}' } })),
        score: { metadata: { name: '$(rm -rf /)' } },
      };
      await executor.handle(aRun({ workflowSpec }).run);
      const { env, config } = runner.run.mock.calls[0]![0];
      const [name] = Object.keys(env).filter((key) => key !== 'OWN');
      expect(env).toEqual({ OWN: 'x', [name!]: '$(rm -rf /)' });
      expect(config.script).toBe(`echo "\${${name}}" \${OWN}`);
    });

    it('that are missing or unfit fail the step before it runs', async () => {
      const { executor, names } = await setup();
      const missing = spec(step('a', { env: { X: '${parameters.none}' } }));
      expect(await executor.handle(aRun({ workflowSpec: missing }).run)).toMatchObject({
        errorMessage: expect.stringContaining("step 'a' cannot run: a reference has no value: ${parameters.none}"),
      });
      const unfit = { ...spec(step('a', { config: { size: '${parameters.size}' } })), parameters: { size: '' } };
      expect(await executor.handle(aRun({ workflowSpec: unfit }).run)).toMatchObject({
        errorMessage: "step 'a' cannot run: size: must be a number",
      });
      expect(names()).toEqual([]);
    });

    it('come from the file that the step names', async () => {
      const { executor } = await setup(async (_, { workspace }) => {
        await writeFile(join(workspace, 'out.json'), '{"version": "2.0", "n": 3}');
        return { status: 'completed', outputs: { n: 'own' } };
      });
      const workflow: Workflow = {
        steps: [step('a', { outputFile: 'out.json' })],
        outputs: { version: '${a.version}', n: '${a.n}' },
      };
      const { run } = aRun({ workflowSpec: { workflow } });
      expect(await executor.handle(run)).toEqual({ status: 'completed', result: { version: '2.0', n: 'own' } });
      const lost = aRun({ workflowSpec: spec(step('a', { outputFile: 'other.json' })) });
      expect(await executor.handle(lost.run)).toMatchObject({
        status: 'failed',
        errorMessage: expect.stringMatching(/^step 'a' ended well, but its outputFile 'other.json' /),
      });
    });
  });

  describe('tries of a step', () => {
    const retry = {
      maxAttempts: 3,
      backoff: { type: 'fixed', initialSeconds: 0.01, factor: 1, maxSeconds: 1, jitter: 'none' },
    } as const;

    it('are made until one completes, and noted in the log', async () => {
      const { executor, names } = await setup(failing('a', 'a'));
      const { run, journal } = aRun({ workflowSpec: spec(step('a', { retry })) });
      expect(await executor.handle(run)).toEqual({ status: 'completed' });
      expect(names()).toEqual(['a', 'a', 'a']);
      expect(journal.text('system')).toContain('[try 2 of 3 failed: a broke; the next one begins in 0.0 s]');
      expect(journal.ends[0]).toMatchObject({ status: 'completed', tries: 3 });
    });

    it('come to an end', async () => {
      const { executor, names } = await setup(async () => failed('no'));
      const { run, journal } = aRun({ workflowSpec: spec(step('a', { retry })) });
      expect(await executor.handle(run)).toMatchObject({ status: 'failed' });
      expect(names()).toHaveLength(3);
      expect(journal.ends[0]).toMatchObject({ status: 'failed', tries: 3 });
    });

    it('are made for the causes that the step names, and no others', async () => {
      const { executor, names } = await setup(async () => failed('no'));
      const steps = [step('a', { retry: { ...retry, retryOn: ['timeout'] }, continueOnError: true })];
      await executor.handle(aRun({ workflowSpec: spec(...steps) }).run);
      expect(names()).toHaveLength(1);
      const listed = step('a', { retry: { ...retry, retryOn: ['timeout', 'step_failed'] } });
      await executor.handle(aRun({ workflowSpec: spec(listed) }).run);
      expect(names()).toHaveLength(4);
    });

    it('of the task are made so too, with the wait of the workflow, also when its time was up', async () => {
      const workflow: Workflow = { steps: [step('a')], retry: { ...retry, retryOn: ['timeout'] } };
      const failing = await setup(async () => failed('no'));
      expect(await failing.executor.handle(aRun({ workflowSpec: { workflow } }).run)).toMatchObject({
        retryable: false,
      });
      const { run, abort } = aRun({ workflowSpec: { workflow } });
      const { executor } = await setup(async () => {
        abort('timeout');
        return { status: 'aborted' };
      });
      expect(await executor.handle(run)).toEqual({ status: 'aborted', retryable: true, retryInSeconds: 0.01 });
    });

    it('are given up when the run is stopped while they rest', async () => {
      const { executor, names } = await setup(async () => failed('no'));
      const long = { ...retry, backoff: { ...retry.backoff, initialSeconds: 600, maxSeconds: 600 } };
      const { run, abort, journal } = aRun({ workflowSpec: spec(step('a', { retry: long })) });
      const append = journal.appendLog.bind(journal);
      journal.appendLog = async (chunks) => {
        await append(chunks);
        abort('cancelled');
      };
      expect(await executor.handle(run)).toEqual({ status: 'aborted' });
      expect(names()).toHaveLength(1);
    });
  });

  describe('a step that waits for people', () => {
    const ask = step('ask', { type: 'approval', config: { message: 'go?', count: 2, timeout: '1h' } });
    const decision = (actor: string, decided: 'approve' | 'reject' = 'approve', comment: string | null = null) => ({
      ...{ actor, comment, decision: decided },
    });
    const waitsFor = { message: 'go?', count: 2, notSubmitter: false, default: 'reject' };

    it('parks the task when nothing else is to do', async () => {
      const { executor, names } = await setup();
      const { run, journal } = aRun({ workflowSpec: spec(step('build'), ask, step('deploy')) });
      journal.steps = [
        stored('ask', { position: 1, type: 'approval', status: 'waiting', waitsFor, secondsLeft: 3_599 }),
      ];
      expect(await executor.handle(run)).toEqual({ status: 'waiting', seconds: 3_599, seenDecisions: 0 });
      expect(names()).toEqual(['build']);
      expect(journal.entries.at(-1)).toBe(`wait 1 3600 s for ${JSON.stringify(waitsFor)}`);
      await access(join(root, TASK_ID, 'workspace'));
    });

    async function resumed(left: Partial<StoredStep>, ...steps: StepDefinition[]) {
      const { executor, names, workspaces } = await setup();
      await workspaces.open(TASK_ID, 1, true);
      const { run, journal } = aRun({ attempt: 2, workflowSpec: spec(step('build'), ask, ...steps) });
      journal.steps = [
        stored('build', { outputs: { v: '1' } }),
        stored('ask', { position: 1, type: 'approval', status: 'waiting', waitsFor, secondsLeft: 10, ...left }),
        ...steps.map(({ name }, index) => stored(name, { position: index + 2, status: 'pending' })),
      ];
      return { outcome: await executor.handle(run), names, journal };
    }

    it('goes on once enough people have approved', async () => {
      const decisions = [decision('ann'), decision('bob', 'approve', 'fine')];
      const deploy = step('deploy', { env: { BY: '${ask.approved_by}', V: '${build.v}' } });
      const { outcome, names, journal } = await resumed({ decisions }, deploy);
      expect(outcome).toEqual({ status: 'completed' });
      expect(names()).toEqual(['deploy']);
      expect(journal.entries[0]).toBe('begin build (kept),ask (kept),deploy');
      expect(journal.ends[0]).toMatchObject({ outputs: { approved_by: 'ann,bob', comment: 'fine' } });
    });

    it('waits on, and tells what it has heard', async () => {
      const { outcome } = await resumed({ decisions: [decision('ann')], secondsLeft: null }, step('deploy'));
      expect(outcome).toEqual({ status: 'waiting', seconds: null, seenDecisions: 1 });
    });

    it('fails the task when one rejects, for good', async () => {
      const decisions = [decision('ann'), decision('bob', 'reject', 'too late')];
      const { outcome, names } = await resumed({ decisions }, step('deploy'), step('undo', { when: 'on_failure' }));
      const errorMessage = "step 'ask' was rejected by bob: too late";
      expect(outcome).toEqual({ status: 'failed', cause: 'rejected', errorMessage, retryable: false });
      expect(names()).toEqual(['undo']);
    });

    it('counts silence as its default says', async () => {
      const rejected = await resumed({ secondsLeft: 0 });
      expect(rejected.outcome).toMatchObject({ cause: 'rejected', errorMessage: expect.stringContaining('0 of 2') });
      const approved = await resumed({ secondsLeft: -1, waitsFor: { ...waitsFor, default: 'approve' } });
      expect(approved.outcome).toEqual({ status: 'completed' });
    });

    it('lets a manual step begin', async () => {
      const { executor, names, workspaces } = await setup();
      const manual = step('deploy', { when: 'manual' });
      const first = aRun({ workflowSpec: spec(manual) });
      first.journal.steps = [stored('deploy', { status: 'waiting', waitsFor: { count: 1 } })];
      expect(await executor.handle(first.run)).toMatchObject({ status: 'waiting' });
      expect(names()).toEqual([]);
      await workspaces.open(TASK_ID, 1, true);
      const second = aRun({ attempt: 2, workflowSpec: spec(manual) });
      const decisions = [decision('ann')];
      second.journal.steps = [stored('deploy', { status: 'waiting', waitsFor: { count: 1 }, decisions })];
      expect(await executor.handle(second.run)).toEqual({ status: 'completed' });
      expect(names()).toEqual(['deploy']);
    });

    it('has its time limit also where that stands beside its config', async () => {
      const { executor } = await setup();
      const { run, journal } = aRun({ workflowSpec: spec(step('ask', { type: 'approval', timeoutSeconds: 60 })) });
      journal.steps = [stored('ask', { type: 'approval', status: 'waiting', waitsFor, secondsLeft: 60 })];
      await executor.handle(run);
      expect(journal.entries[1]).toMatch(/^wait 0 60 s for/);
    });

    it('begins, approved, no more steps at once than may run', async () => {
      let most = 0;
      let now = 0;
      const { executor, workspaces } = await setup(
        async () => {
          most = Math.max(most, ++now);
          await new Promise((resolve) => setImmediate(resolve));
          now--;
          return completed;
        },
        { parallelSteps: 2 },
      );
      await workspaces.open(TASK_ID, 1, true);
      const names = ['a', 'b', 'c', 'd'];
      const steps = names.map((name) => step(name, { when: 'manual', parallelGroup: '' }));
      const { run, journal } = aRun({ attempt: 2, workflowSpec: spec(...steps) });
      const decisions = [decision('ann')];
      journal.steps = names.map((name, position) =>
        stored(name, { position, status: 'waiting', waitsFor: { count: 1 }, decisions }),
      );
      expect(await executor.handle(run)).toEqual({ status: 'completed' });
      expect(most).toBe(2);
    });

    it('does not keep the steps beside it from running', async () => {
      const { executor, names } = await setup();
      const steps = [step('ask', { ...ask, dependsOn: [] }), step('other', { dependsOn: [] })];
      const { run, journal } = aRun({ workflowSpec: spec(...steps) });
      journal.steps = [stored('ask', { type: 'approval', status: 'waiting', waitsFor, secondsLeft: 5 })];
      expect(await executor.handle(run)).toMatchObject({ status: 'waiting' });
      expect(names()).toEqual(['other']);
    });
  });

  describe('a run after another', () => {
    async function again(
      left: StoredStep[],
      workflow: Partial<Workflow> & Pick<Workflow, 'steps'>,
      lastAttempt?: number,
    ) {
      const { executor, names, workspaces } = await setup(async () => ({ ...completed, outputs: { v: '2' } }));
      if (lastAttempt !== undefined) {
        const { workspace } = await workspaces.open(TASK_ID, lastAttempt, true);
        await writeFile(join(workspace, 'built'), 'yes');
      }
      const { run, journal } = aRun({ attempt: 3, workflowSpec: { workflow } });
      journal.steps = left;
      const outcome = await executor.handle(run);
      return { outcome, names: names(), begin: journal.entries[0] };
    }
    const steps = [step('build'), step('deploy', { env: { V: '${build.v}' } }), step('clean', { when: 'always' })];
    const left = [
      stored('build', { outputs: { v: '1' } }),
      stored('deploy', { position: 1, status: 'failed' }),
      stored('clean', { position: 2 }),
    ];

    it('goes on at the first step that did not complete, with the outputs of those that did', async () => {
      const { outcome, names, begin } = await again(left, { steps }, 2);
      expect(outcome).toEqual({ status: 'completed' });
      expect(begin).toBe('begin build (kept),deploy,clean');
      expect(names).toEqual(['deploy', 'clean']);
    });

    it('needs no folder where nothing is left to do', async () => {
      const all = [
        stored('build', { outputs: { v: '1' } }),
        stored('deploy', { position: 1, status: 'skipped', cause: 'condition' }),
      ];
      const { outcome, names } = await again([...all, stored('clean', { position: 2 })], {
        steps: [steps[0]!, step('deploy', { if: 'false' }), steps[2]!],
      });
      expect(outcome).toEqual({ status: 'completed' });
      expect(names).toEqual([]);
    });

    it('starts over where the folder of the runs before it is not here', async () => {
      expect((await again(left, { steps })).names).toEqual(['build', 'deploy', 'clean']);
      const later = [{ ...left[0]!, attempt: 2 }, ...left.slice(1)];
      expect((await again(later, { steps }, 1)).names).toEqual(['build', 'deploy', 'clean']);
    });

    it('goes on without it where the workflow says so', async () => {
      const { names } = await again(left, { steps, resume: 'without_workspace' });
      expect(names).toEqual(['deploy', 'clean']);
    });

    it('keeps nothing of a step that is another one now', async () => {
      const other = [{ ...left[0]!, type: 'terraform' }, ...left.slice(1)];
      expect((await again(other, { steps }, 2)).names).toEqual(['build', 'deploy', 'clean']);
    });
  });

  describe('what steps leave for the service to trip over', () => {
    it('is replaced, not opened: a pipe, a link, a folder in the place of its files', async () => {
      const { executor } = await setup(async ({ name }, { workspace, attempt }) => {
        if (attempt > 1) {
          seen.push(await readFile(join(workspace, 'score.json'), 'utf8'));
          return completed;
        }
        await rm(join(workspace, 'score.json'));
        await rm(join(workspace, 'score.properties'));
        await mkdir(join(workspace, 'score.properties', 'full'), { recursive: true });
        await symlink(join(root, 'outside'), join(workspace, 'score.json'));
        spawnSync('rm', ['-f', join(workspace, '..', 'attempt')]);
        spawnSync('mkfifo', [join(workspace, '..', 'attempt')]);
        return failed(name);
      });
      const seen: string[] = [];
      const workflowSpec = { ...spec(step('a')), score: { metadata: { name: 'shop' } } };
      await executor.handle(aRun({ workflowSpec }).run);
      expect(await executor.handle(aRun({ attempt: 2, workflowSpec }).run)).toEqual({ status: 'completed' });
      expect(JSON.parse(seen[0]!)).toEqual({ metadata: { name: 'shop' } });
      await expect(access(join(root, 'outside'))).rejects.toThrow(/ENOENT/);
    });

    it('is no more than a step may set', async () => {
      const { executor } = await setup(async () => ({ ...completed, outputs: { x: 'x'.repeat(60_000) } }));
      const setVariables = { A: '${a.x}', B: '${a.x}' };
      const { run, journal } = aRun({ workflowSpec: spec(step('a', { setVariables })) });
      expect(await executor.handle(run)).toMatchObject({
        status: 'failed',
        errorMessage: "step 'a' ended well, but its variables cannot be set: its variables are more than 64 KiB",
      });
      expect(journal.ends[0]!.outputs!.x).toHaveLength(60_000);
      const workflow = { steps: [step('a')], outputs: { one: '${a.x}', two: '${a.x}' } };
      const large = aRun({ workflowSpec: { workflow } });
      expect(await executor.handle(large.run)).toEqual({ status: 'completed' });
      expect(large.journal.text('system')).toContain('outputs are left out');
    });
  });

  describe('the task’s folder', () => {
    it('has the document’s files, stays for the next run, and goes when the task has completed', async () => {
      const seen: string[][] = [];
      const { executor } = await setup(async (_, { workspace, runDir }) => {
        await access(runDir);
        seen.push((await readdir(workspace)).sort());
        return seen.length === 1 ? failed('no') : completed;
      });
      const workflowSpec = { ...spec(step('a')), score: { metadata: { name: 'shop' } } };
      await executor.handle(aRun({ workflowSpec }).run);
      expect(seen).toEqual([['score.json', 'score.properties']]);
      expect(await readdir(join(root, TASK_ID))).toEqual(['workspace']);
      await executor.handle(aRun({ attempt: 2, workflowSpec }).run);
      expect(await readdir(root)).not.toContain(TASK_ID);
    });
  });

  describe('a run that is stopped', () => {
    it.each([
      ['cancelled', ['finish 0 cancelled cancelled', 'close cancelled']],
      ['timeout', ['finish 0 cancelled timeout', 'close timeout']],
      ['shutdown', ['finish 0 cancelled shutdown']],
      ['lost', []],
    ])('as %s notes what will still be true', async (reason, noted) => {
      const { run, journal, abort } = aRun({ workflowSpec: spec(step('build'), step('deploy')) });
      const { executor } = await setup(async () => {
        abort(reason);
        return { status: 'aborted' };
      });
      expect(await executor.handle(run)).toEqual({ status: 'aborted' });
      expect(journal.entries.slice(2)).toEqual(noted);
    });

    describe('with steps that run in any case', () => {
      const steps = [
        step('build'),
        step('deploy'),
        step('clean', { when: 'always' }),
        step('undo', { when: 'on_failure' }),
      ];

      /** The journal has what the run has left of its steps when it is asked. */
      async function stopping(reason: string, left: StoredStep[], changes: object = {}) {
        const { run, journal, abort, endCleanUp } = aRun({ workflowSpec: spec(...steps), ...changes });
        const stop = (names: string[]) => names.length === 1 && abort(reason);
        const made = await setup(async (): Promise<StepResult> => {
          return stop(made.names()) ? completed : { ...completed };
        });
        journal.steps = left;
        return { ...made, run, journal, endCleanUp };
      }
      const left = [
        stored('build', { status: 'cancelled' }),
        stored('deploy', { position: 1, status: 'pending' }),
        stored('clean', { position: 2, status: 'pending' }),
        stored('undo', { position: 3, status: 'pending' }),
      ];

      it.each(['cancelled', 'timeout'] as const)('runs these after a stop as %s', async (reason) => {
        const { executor, run, journal, names } = await stopping(reason, left);
        expect(await executor.handle(run)).toEqual({ status: 'aborted' });
        expect(names()).toEqual(['build', 'clean']);
        const why = reason === 'cancelled' ? 'the task was cancelled' : "the task's time was up";
        expect(journal.entries.slice(3)).toEqual([
          'begin build (kept),deploy,clean,undo',
          `skip 1 (${why})`,
          'start 2',
          'finish 2 completed',
          `skip 3 (${why})`,
        ]);
      });

      it.each(['shutdown', 'lost'])('leaves them to others as %s', async (reason) => {
        const { executor, run, names } = await stopping(reason, left);
        await executor.handle(run);
        expect(names()).toEqual(['build']);
      });

      it('does not run them where nothing had begun, or no time is left', async () => {
        const idle = await stopping('cancelled', [stored('build', { status: 'pending' })], { cancelling: {} });
        await idle.executor.handle(idle.run);
        expect(idle.names()).toEqual([]);
        expect(idle.journal.entries).toEqual(['close cancelled']);
        const late = await stopping('cancelled', left);
        late.endCleanUp('cleanup_timeout');
        await late.executor.handle(late.run);
        expect(late.names()).toEqual(['build']);
        expect(late.journal.entries.at(-1)).toBe('close cancelled');
      });

      it('stops them when the time for it is over', async () => {
        const { run, journal, endCleanUp } = aRun({
          workflowSpec: spec(...steps),
          attempt: 2,
          cancelling: {} as never,
        });
        const { executor } = await setup(async (_, { signal }) => {
          endCleanUp('cleanup_timeout');
          expect(signal.aborted).toBe(true);
          return { status: 'aborted' };
        });
        journal.steps = left;
        expect(await executor.handle(run)).toEqual({ status: 'aborted' });
        expect(journal.entries.slice(-2)).toEqual(['finish 2 cancelled cleanup_timeout', 'close cleanup_timeout']);
      });

      it('is all that is done for a task that was cancelled before; what it waited for is closed', async () => {
        const cancelling = { cause: 'cancelled', reason: 'no more' } as const;
        const ask = step('ask', { type: 'approval' });
        const { run, journal } = aRun({ workflowSpec: spec(steps[0]!, ask, steps[2]!), attempt: 2, cancelling });
        const { executor, names } = await setup();
        journal.steps = [
          stored('build', { outputs: { v: '1' } }),
          stored('ask', { type: 'approval', position: 1, status: 'waiting' }),
          stored('clean', { position: 2, status: 'pending' }),
        ];
        expect(await executor.handle(run)).toEqual({ status: 'aborted' });
        expect(names()).toEqual(['clean']);
        expect(journal.entries).toEqual([
          'finish 1 cancelled cancelled',
          'begin build (kept),ask (kept),clean',
          'start 2',
          'finish 2 completed',
        ]);
      });

      it('is known of a document before it runs', async () => {
        const { executor } = await setup();
        expect(executor.cleansUp(spec(...steps))).toBe(true);
        expect(executor.cleansUp(spec(steps[0]!))).toBe(false);
        expect(executor.cleansUp({ workflow: 'none of ours' })).toBe(false);
      });
    });

    it('begins no further step', async () => {
      const { run, abort } = aRun({ workflowSpec: spec(step('build'), step('deploy')) });
      const { executor, runner } = await setup(async () => {
        abort('shutdown');
        return completed;
      });
      expect(await executor.handle(run)).toEqual({ status: 'aborted' });
      expect(runner.run).toHaveBeenCalledTimes(1);
    });

    it('stops what runs beside the write that found the lease lost', async () => {
      const { run, journal } = aRun({
        workflowSpec: spec(step('a', { parallelGroup: '' }), step('b', { parallelGroup: '' })),
      });
      let reason: unknown;
      const { executor } = await setup(({ name }, { signal }) => {
        if (name === 'a') {
          journal.lost = true;
          return Promise.resolve(completed);
        }
        return new Promise((resolve) =>
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            resolve({ status: 'aborted' });
          }),
        );
      });
      expect(await executor.handle(run)).toEqual({ status: 'aborted' });
      expect(reason).toBe('lost');
    });

    it('fails as the journal does that cannot store what it should', async () => {
      const { run, journal } = aRun({ workflowSpec: spec(step('a')) });
      const finish = journal.finishStep.bind(journal);
      journal.finishStep = (position, end) =>
        end.status === 'completed' ? Promise.reject(new Error('value too long')) : finish(position, end);
      const { executor } = await setup();
      await expect(executor.handle(run)).rejects.toThrow('value too long');
      expect(journal.entries.slice(2)).toEqual(['finish 0 cancelled step_failed', 'close step_failed']);
    });
  });

  it('stores what a step wrote before it says that the step has ended', async () => {
    const { run, journal } = aRun({ workflowSpec: spec(step('build')) });
    const { executor } = await setup(async (_, { write }) => {
      await write('stdout', Buffer.from('hello'));
      return completed;
    });
    const finish = journal.finishStep.bind(journal);
    journal.finishStep = async (...end) => {
      expect(journal.text()).toBe('hello');
      return finish(...end);
    };
    await executor.handle(run);
    expect(journal.entries).toContain('finish 0 completed');
  });

  it('counts the output of earlier attempts against the limit', async () => {
    const { executor } = await setup(async (_, { write }) => {
      await write('stdout', Buffer.from('x'.repeat(20)));
      return completed;
    });
    const { run, journal } = aRun({ attempt: 2, workflowSpec: spec(step('build')) });
    journal.stored = 990;
    await executor.handle(run);
    expect(journal.text('stdout')).toBe('x'.repeat(10));
    expect(journal.text('system')).toMatch(/output cut here/);
  });

  describe('secrets', () => {
    const TOKEN = 'Sesame-open-5';
    const env = { T: '${secrets.TOKEN}' };
    const allOf = (journal: JournalDouble) => JSON.stringify([journal.entries, journal.ends, journal.text()]);

    it('reach the step, and nothing that is stored of it', async () => {
      const { executor, runner } = await setup(async ({ env, config }, { write }) => {
        expect([env, config]).toMatchObject([
          { T: TOKEN, TURNPIKE_REF_1: TOKEN },
          { script: 'echo ${TURNPIKE_REF_1}' },
        ]);
        await write('stdout', Buffer.from(`<${TOKEN.slice(0, 5)}`));
        await write('stderr', Buffer.from(`${Buffer.from(TOKEN).toString('base64')}`));
        await write('stdout', Buffer.from(`${TOKEN.slice(5)}> Sesame`));
        return { ...failed(`could not use ${TOKEN}`), outputs: { [`o${TOKEN}`]: TOKEN } } as StepResult;
      });
      const one = step('deploy', { env, config: { script: 'echo ${secrets.TOKEN}' } });
      const { run, journal } = aRun({ workflowSpec: spec(one) });
      expect(await executor.handle(run)).toMatchObject({ errorMessage: 'could not use ***' });
      expect(runner.run).toHaveBeenCalledTimes(1);
      expect([journal.text('stdout'), journal.text('stderr')]).toEqual(['<***> Sesame', '***']);
      expect(journal.ends).toMatchObject([{ errorMessage: 'could not use ***', outputs: { 'o***': '***' } }]);
      expect(allOf(journal)).not.toContain(TOKEN);
    });

    it('are masked in all steps of the run, those before and after the one that uses them too', async () => {
      const { executor } = await setup(async (_, { write }) => {
        await write('stdout', Buffer.from(`${TOKEN}\n`));
        return completed;
      });
      const { run, journal } = aRun({ workflowSpec: spec(step('a'), step('b', { env }), step('c')) });
      await executor.handle(run);
      expect(journal.text()).toBe('***\n***\n***\n');
    });

    it('fail a step that hands one on, whatever its form', async () => {
      for (const output of [TOKEN, Buffer.from(`a${TOKEN}`).toString('base64')]) {
        const { executor } = await setup(async () => ({ ...completed, outputs: { ok: '1', leak: `x ${output}` } }));
        const { run, journal } = aRun({ workflowSpec: spec(step('a', { env })) });
        const errorMessage = expect.stringContaining("step 'a' ended well, but its output 'leak' holds a secret");
        expect(await executor.handle(run)).toMatchObject({ status: 'failed', retryable: false, errorMessage });
        expect(allOf(journal)).not.toContain(output);
      }
    });

    it('are files for their owner alone, gone when the step has ended', async () => {
      const seen: string[] = [];
      const { executor } = await setup(async ({ env }) => {
        const { mode } = await stat(env.KEY!);
        expect([await readFile(env.KEY!, 'utf8'), (mode & 0o777).toString(8)]).toEqual([SECRETS.SECRET_KEY, '600']);
        seen.push(env.KEY!);
        return failed('broken');
      });
      const workflow = spec(step('a', { env: { KEY: '${secrets.KEY.file}' }, retry: twice }));
      expect(await executor.handle(aRun({ workflowSpec: workflow }).run)).toMatchObject({ errorMessage: 'broken' });
      expect(new Set(seen).size).toBe(2);
      for (const path of seen) await expect(access(path)).rejects.toThrow('ENOENT');
    });

    it.each([
      ['MISSING', "the secret 'MISSING' is not on this worker"],
      ['SHORT', "the secret 'SHORT' has fewer than 8 characters"],
    ])('that cannot be used (%s) fail the task before anything has run', async (name, why) => {
      const { executor, runner } = await setup();
      const steps = [step('a'), step('b', { config: { script: `echo \${secrets.${name}}` } })];
      const { run, journal } = aRun({ workflowSpec: spec(...steps) });
      const errorMessage = expect.stringContaining(`step 'b' cannot run: ${why}`);
      expect(await executor.handle(run)).toMatchObject({ status: 'failed', cause: 'step_failed', errorMessage });
      expect(runner.run).not.toHaveBeenCalled();
      expect(journal.entries.slice(1)).toEqual(['finish 1 failed missing_secret', 'close missing_secret']);
    });

    it('of a step that is not certain to run are missed when its time comes', async () => {
      const { executor, names } = await setup(failing('a'));
      const undo = step('undo', { when: 'on_failure', env: { X: '${secrets.MISSING}' } });
      const { run, journal } = aRun({ workflowSpec: spec(step('a'), undo) });
      expect(await executor.handle(run)).toMatchObject({ errorMessage: 'a broke' });
      expect(names()).toEqual(['a']);
      expect(journal.ends[1]).toMatchObject({
        errorMessage: expect.stringContaining("step 'undo' cannot run: the secret"),
      });
    });

    it('are not shown by a message about a value that does not fit', async () => {
      const { executor } = await setup();
      const unfit = spec(step('a', { env, config: { size: '' } }));
      const run = aRun({ workflowSpec: unfit }).run;
      expect(await executor.handle(run)).toMatchObject({
        errorMessage: "step 'a' cannot run: size: it is not valid with its references filled in",
      });
      const number = spec(step('a', { config: { script: 'echo $((${secrets.TOKEN}))' } }));
      const outcome = await executor.handle(aRun({ workflowSpec: number }).run);
      expect(outcome).toMatchObject({ errorMessage: expect.stringMatching(/must be a whole number$/) });
    });

    it('are given to nothing that is stored, even where somebody has written it into the row', async () => {
      const { executor } = await setup();
      const workflow = { steps: [step('a', { env, setVariables: { X: '${secrets.TOKEN}' } })] };
      const outcome = await executor.handle(aRun({ workflowSpec: { workflow } }).run);
      expect(outcome).toMatchObject({ errorMessage: expect.stringContaining('a secret is given to env') });
    });

    it('are masked in what breaks the run', async () => {
      const { run, journal } = aRun({ workflowSpec: spec(step('a', { env })) });
      const finish = journal.finishStep.bind(journal);
      journal.finishStep = (position, end) =>
        end.status === 'completed' ? Promise.reject(new Error(`no room for ${TOKEN}`)) : finish(position, end);
      const { executor } = await setup();
      await expect(executor.handle(run)).rejects.toThrow('no room for ***');
    });
  });

  it('refuses a document that it cannot read', async () => {
    const { executor } = await setup();
    await expect(executor.handle(aRun({ workflowSpec: { steps: [] } }).run)).rejects.toThrow(/no workflow.steps/);
  });

  it('does a thousand steps', async () => {
    const { executor, names } = await setup();
    const steps = Array.from({ length: 1_000 }, (_, n) =>
      step(`s${n}`, { parallelGroup: String(Math.floor(n / 100)) }),
    );
    expect(await executor.handle(aRun({ workflowSpec: spec(...steps) }).run)).toEqual({ status: 'completed' });
    expect(names()).toHaveLength(1_000);
  });
});

describe('Workspaces', () => {
  it('make no folder for what is no task id', async () => {
    await expect(new Workspaces(tmpdir()).open('../../etc', 1, true)).rejects.toThrow(/no task id/);
  });
});
