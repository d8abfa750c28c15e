import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Test } from '@nestjs/testing';
import { aRun } from '../../test/support/journal-double.js';
import { StepRegistry } from './step-registry.js';
import type { ResolvedStep, StepContext, StepResult } from './step-runner.js';
import type { StepDefinition } from './workflow.js';
import { LOG_LIMIT_BYTES, WorkflowExecutor } from './workflow-executor.js';
import { Workspaces, WORKSPACES_DIR } from './workspaces.js';

const step = (name: string, type = 'fake'): StepDefinition => ({ name, type, env: {}, config: {} });
const spec = (...steps: StepDefinition[]) => ({ workflow: { steps } });
const completed: StepResult = { status: 'completed', exitCode: 0, outputs: {} };

describe('WorkflowExecutor', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'turnpike-executor-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function setup(run: (step: ResolvedStep, context: StepContext) => Promise<StepResult>) {
    const runner = { description: '', schema: {}, run: jest.fn(run) };
    const module = await Test.createTestingModule({
      providers: [
        WorkflowExecutor,
        Workspaces,
        { provide: WORKSPACES_DIR, useValue: root },
        { provide: LOG_LIMIT_BYTES, useValue: 100 },
        { provide: StepRegistry, useValue: { get: (type: string) => (type === 'fake' ? runner : undefined) } },
      ],
    }).compile();
    module.useLogger(false);
    return { executor: module.get(WorkflowExecutor), runner };
  }

  it('runs the steps in order, with a checkpoint before and after each', async () => {
    const { executor, runner } = await setup(async () => completed);
    const { run, journal } = aRun({ workflowSpec: spec(step('build'), step('deploy')) });
    expect(await executor.handle(run)).toEqual({ status: 'completed' });
    expect(runner.run.mock.calls.map(([definition]) => definition.name)).toEqual(['build', 'deploy']);
    expect(journal.entries).toEqual([
      'begin build,deploy',
      'start 0',
      'finish 0 completed',
      'start 1',
      'finish 1 completed',
    ]);
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

  it('ends with the first step that fails, and skips the rest', async () => {
    const failed: StepResult = { status: 'failed', cause: 'step_failed', exitCode: 3, errorMessage: 'no', outputs: {} };
    const { executor } = await setup(async () => failed);
    const { run, journal } = aRun({ workflowSpec: spec(step('build'), step('deploy')) });
    expect(await executor.handle(run)).toEqual({
      status: 'failed',
      cause: 'step_failed',
      errorMessage: 'no',
      retryable: true,
    });
    expect(journal.entries).toEqual([
      'begin build,deploy',
      'start 0',
      'finish 0 failed step_failed',
      'close step_failed',
    ]);
  });

  it('counts a runner that throws, and a type without a runner, as failed steps', async () => {
    const { executor } = await setup(async () => Promise.reject(new Error('no bash here')));
    const thrown = await executor.handle(aRun({ workflowSpec: spec(step('build')) }).run);
    expect(thrown).toMatchObject({ status: 'failed', errorMessage: "step 'build' could not be run: no bash here" });
    const unknown = await executor.handle(aRun({ workflowSpec: spec(step('build', 'ansible')) }).run);
    expect(unknown).toMatchObject({ errorMessage: expect.stringContaining("no runner for type 'ansible'") });
  });

  it.each([
    ['cancelled', ['finish 0 cancelled cancelled', 'close cancelled']],
    ['timeout', ['finish 0 cancelled timeout', 'close timeout']],
    ['shutdown', ['finish 0 cancelled shutdown']],
    ['lost', []],
  ])('aborted as %s, notes what will still be true', async (reason, noted) => {
    const { run, journal, abort } = aRun({ workflowSpec: spec(step('build'), step('deploy')) });
    const { executor } = await setup(async () => {
      abort(reason);
      return { status: 'aborted' };
    });
    expect(await executor.handle(run)).toEqual({ status: 'aborted' });
    expect(journal.entries.slice(2)).toEqual(noted);
  });

  it('begins no step once it is aborted', async () => {
    const { run, abort } = aRun({ workflowSpec: spec(step('build'), step('deploy')) });
    const { executor, runner } = await setup(async () => {
      abort('shutdown');
      return completed;
    });
    expect(await executor.handle(run)).toEqual({ status: 'aborted' });
    expect(runner.run).toHaveBeenCalledTimes(1);
  });

  it('stops when its lease is lost', async () => {
    const { run, journal } = aRun({ workflowSpec: spec(step('build'), step('deploy')) });
    const { executor, runner } = await setup(async () => {
      journal.lost = true;
      return completed;
    });
    expect(await executor.handle(run)).toEqual({ status: 'aborted' });
    expect(runner.run).toHaveBeenCalledTimes(1);
  });

  it('refuses a stored workflow that it cannot read', async () => {
    const { executor } = await setup(async () => completed);
    await expect(executor.handle(aRun({ workflowSpec: {} }).run)).rejects.toThrow(/workflow.steps/);
    const odd = { workflow: { steps: [{ name: 'x', type: 'fake', env: [], config: {} }] } };
    await expect(executor.handle(aRun({ workflowSpec: odd }).run)).rejects.toThrow(/workflow.steps/);
  });

  it('gives each run a fresh folder and removes it, however the run ends', async () => {
    const places: string[] = [];
    const { executor } = await setup(async (_, { workspace, runDir }) => {
      places.push(workspace, runDir);
      await Promise.all(places.slice(-2).map((place) => access(place)));
      throw new Error('boom');
    });
    await executor.handle(aRun({ workflowSpec: spec(step('build')) }).run);
    await executor.handle(aRun({ attempt: 2, workflowSpec: spec(step('build')) }).run);
    expect(new Set(places).size).toBe(4);
    for (const place of places) await expect(access(place)).rejects.toThrow(/ENOENT/);
  });

  it('counts the output of earlier attempts against the limit', async () => {
    const { executor } = await setup(async (_, { write }) => {
      await write('stdout', Buffer.from('x'.repeat(20)));
      return completed;
    });
    const { run, journal } = aRun({ attempt: 2, workflowSpec: spec(step('build')) });
    journal.stored = 90;
    await executor.handle(run);
    expect(journal.text('stdout')).toBe('x'.repeat(10));
    expect(journal.text('system')).toMatch(/output cut here/);
  });
});

describe('Workspaces', () => {
  it('make no folder for what is no task id', async () => {
    await expect(new Workspaces(tmpdir()).create('../../etc', 1)).rejects.toThrow(/no task id/);
  });
});
