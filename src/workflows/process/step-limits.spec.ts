import { StepFixture } from '../../../test/support/step-fixture.js';
import { BashStep } from '../steps/bash.step.js';
import { ScriptRunner } from '../steps/script-runner.js';
import { limitCommands, type StepLimits } from './step-limits.js';

describe('limitCommands', () => {
  it('asks for nothing where nothing is limited', () => {
    expect(limitCommands({ cpuSeconds: 0, processes: 0 }, false)).toEqual([]);
  });

  it('counts processes here only where no sandbox does', () => {
    expect(limitCommands({ processes: 5, openFiles: 20 }, false)).toEqual(['ulimit -u 5', 'ulimit -n 20']);
    expect(limitCommands({ processes: 5, openFiles: 20 }, true)).toEqual(['ulimit -n 20']);
  });
});

describe('a step with limits', () => {
  const fixture = new StepFixture();
  afterAll(() => fixture.remove());

  const run = (limits: StepLimits, command: string) =>
    fixture.run(new BashStep(new ScriptRunner({ killGraceSeconds: 0.2, limits })), { command });

  it('has them, and so has all that it starts', async () => {
    const limits = { cpuSeconds: 7, memoryBytes: 1024 ** 3, fileBytes: 2048, openFiles: 99 };
    const { stdout } = await run(limits, `bash -c 'ulimit -S -t; ulimit -H -t; ulimit -v; ulimit -f; ulimit -n'`);
    expect(stdout).toBe('7\n12\n1048576\n2\n99\n');
  });

  it('leaves none of them to the next one', async () => {
    expect((await run({ openFiles: 99 }, 'ulimit -n')).stdout).toBe('99\n');
    expect((await run({}, 'ulimit -n')).stdout).not.toBe('99\n');
  });

  it('says that it wrote too large a file', async () => {
    const { result } = await run({ fileBytes: 2048 }, 'exec head -c 5000 /dev/zero >large');
    expect(result).toMatchObject({
      status: 'failed',
      errorMessage:
        "step 'x' was ended by signal SIGXFSZ: it wrote a file larger than STEP_LIMIT_FILE_BYTES allows (2048 bytes)",
    });
  });

  it('says that it used too much time of the processor', async () => {
    const { result } = await run({ cpuSeconds: 1 }, 'bash -c "while :; do :; done"');
    expect(result).toMatchObject({
      status: 'failed',
      exitCode: 152,
      errorMessage: expect.stringContaining(
        'a process of it used more CPU time than STEP_LIMIT_CPU_SECONDS allows (1 s)',
      ),
    });
  });
});
