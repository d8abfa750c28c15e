import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SecretMasks } from '../../src/workflows/secrets/secret-masks.js';
import type { ResolvedStep, StepConfig, StepContext, StepResult, StepRunner } from '../../src/workflows/step-runner.js';
import { CompiledSchema } from '../../src/workflows/step-schema.js';
import { ScriptRunner } from '../../src/workflows/steps/script-runner.js';

export interface StepRun {
  readonly result: StepResult;
  readonly stdout: string;
  readonly stderr: string;
}

/** A task's folders, and steps run in them as the executor runs them. */
export class StepFixture {
  readonly scriptRunner = new ScriptRunner({ killGraceSeconds: 0.2 });
  readonly root = mkdtempSync(join(tmpdir(), 'step-'));
  readonly workspace = join(this.root, 'workspace');
  readonly runDir = join(this.root, 'run');

  constructor() {
    mkdirSync(this.workspace);
    mkdirSync(this.runDir);
  }

  /** With a config that its schema must accept, as with the executor. What the runner throws is thrown. */
  async run(
    runner: StepRunner,
    given: StepConfig,
    step: Partial<ResolvedStep> = {},
    context: Partial<StepContext> = {},
  ): Promise<StepRun> {
    const { config, problems } = new CompiledSchema(runner.schema).resolve(given);
    const all = problems.length > 0 ? problems : (runner.check?.(config) ?? []);
    if (all.length > 0) throw new Error(`the config is not accepted: ${JSON.stringify(all)}`);
    const output = { stdout: '', stderr: '' };
    const result = await runner.run(
      { name: 'x', type: 'x', env: {}, config, ...step },
      {
        taskId: 'task-1',
        attempt: 1,
        workspace: this.workspace,
        runDir: this.runDir,
        signal: new AbortController().signal,
        lease: { deadline: () => performance.now() + 60_000, onRenewed: () => () => {} },
        masks: new SecretMasks(),
        write: async (stream, chunk) => void (output[stream] += chunk.toString()),
        ...context,
      },
    );
    return { result, ...output };
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** `path: message | hint` of all that is wrong with a config at submission. */
export function complaints(runner: StepRunner, config: StepConfig): string[] {
  const problems = new CompiledSchema(runner.schema).problems(config);
  const all = problems.length > 0 ? problems : (runner.check?.(config) ?? []);
  return all.map(({ path, message, hint }) => `${path.join('.')}: ${message} | ${hint ?? ''}`);
}

/** `describe`, or a skipped one that says which program is missing. */
export function describeWith(program: string, name: string, tests: () => void): void {
  if (isInstalled(program)) describe(name, tests);
  else describe.skip(`${name} (skipped: install ${program} to run these)`, tests);
}

/** The same for one test. */
export function itWith(program: string, name: string, test: () => Promise<void>): void {
  if (isInstalled(program)) it(name, test);
  else it.skip(`${name} (skipped: install ${program} to run this)`, test);
}

function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}
