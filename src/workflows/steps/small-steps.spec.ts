import { complaints, StepFixture } from '../../../test/support/step-fixture.js';
import { ApprovalStep } from './approval.step.js';
import { NoopStep } from './noop.step.js';
import { PolicyStep } from './policy.step.js';
import { WaitStep } from './wait.step.js';

let fixture: StepFixture;
beforeEach(() => (fixture = new StepFixture()));
afterEach(() => fixture.remove());

describe('wait', () => {
  const wait = new WaitStep();

  it.each([{ duration: 0.01 }, { duration: '10ms' }, { duration: '0.01' }])('completes after %j', async (config) => {
    expect((await fixture.run(wait, config)).result).toEqual({ status: 'completed', outputs: {} });
  });

  it('ends at once when the run ends, and with its timeout', async () => {
    const abort = new AbortController();
    const running = fixture.run(wait, { duration: '20d' }, {}, { signal: abort.signal });
    abort.abort('cancelled');
    expect((await running).result).toEqual({ status: 'aborted' });
    const { result } = await fixture.run(wait, { duration: '20d' }, { timeoutSeconds: 0.05 });
    expect(result).toMatchObject({
      status: 'failed',
      cause: 'timeout',
      errorMessage: `step 'x' took longer than its timeout of 0.05 s and was ended`,
    });
  });

  it.each([
    [{}, `duration: 'duration' is missing | Add "duration: 30s".`],
    [{ duration: 0 }, `duration: 'duration' is not valid: the number 0 | It must be a time above zero`],
    [{ duration: '0s' }, `duration: 'duration' is not valid: the text '0s'`],
    [{ duration: '25d' }, `duration: 'duration' is not valid: the text '25d'`],
    [{ duration: true }, `duration: 'duration' must be a time above zero`],
    [{ duration: 1, seconds: 3 }, `seconds: unknown key 'seconds'`],
  ])('refuses %j', (config, complaint) => {
    expect(complaints(wait, config)[0]).toContain(complaint);
  });
});

describe('noop', () => {
  const noop = new NoopStep();

  it('completes, or is stopped before', async () => {
    expect((await fixture.run(noop, {})).result).toEqual({ status: 'completed', outputs: {} });
    const { result } = await fixture.run(noop, {}, {}, { signal: AbortSignal.abort('shutdown') });
    expect(result).toEqual({ status: 'aborted' });
  });

  it('has no fields', () => {
    expect(complaints(noop, { command: 'true' })).toEqual([`command: unknown key 'command' | No keys are known here.`]);
  });
});

describe('approval', () => {
  const approval = new ApprovalStep();

  it.each([
    {},
    { approvers: ['ada', 'grace'], count: 2, timeout: '4h', default: 'reject', not_submitter: true, message: 'Go?' },
    { approvers: ['${parameters.owner}'], count: '${parameters.count}' },
    { approvers: ['role:approver', 'ada'], count: 3 },
    { approvers: ['role:${parameters.role}'] },
  ])('takes %j', (config) => {
    expect(complaints(approval, config)).toEqual([]);
  });

  it.each([
    [{ count: 3, approvers: ['ada', 'ada'] }, `count: 'count' is 3, but 'approvers' names 1 | Write 1 or less`],
    [{ count: 0 }, `count: 'count' is not valid: the number 0 | It must be >= 1.`],
    [{ default: 'aprove', timeout: 5 }, `Did you mean 'approve'?`],
    [{ approvers: [] }, `approvers: 'approvers' is empty`],
    [
      { approvers: 'ada' },
      `approvers: 'approvers' must be a list, but is the text 'ada' | Write a list: approvers: ["ada"]`,
    ],
    [{ approvers: ['ada', 'role:aprover'] }, `approvers.1: there is no role 'aprover' | Did you mean 'role:approver'?`],
    [{ approver: ['ada'] }, `Did you mean 'approvers'?`],
    [{ not_submitter: 'yes' }, `not_submitter: 'not_submitter' must be true or false`],
  ])('refuses %j', (config, complaint) => {
    expect(complaints(approval, config).join('\n')).toContain(complaint);
  });

  it('is not run', async () => {
    await expect(fixture.run(approval, {})).rejects.toThrow('an approval is answered by people, not run');
  });
});

describe('policy', () => {
  const policy = () => new PolicyStep(fixture.scriptRunner);

  it('completes where the script does, with its outputs', async () => {
    const { result } = await fixture.run(policy(), { script: 'echo fine; echo score=10 >>"$STEP_OUTPUT"' });
    expect(result).toEqual({ status: 'completed', exitCode: 0, outputs: { score: '10' } });
  });

  it('rejects with the last line that the script wrote', async () => {
    const { result, stdout } = await fixture.run(policy(), {
      script: `seq 2000; printf '\\033[31mimage nginx:latest has no digest\\033[0m\\r\\n\\n  \\n' >&2; exit 3`,
    });
    expect(result).toEqual({
      status: 'failed',
      cause: 'rejected',
      retryable: false,
      exitCode: 3,
      errorMessage: 'image nginx:latest has no digest',
      outputs: {},
    });
    expect(stdout.split('\n')).toHaveLength(2001);
  });

  it('rejects without a word', async () => {
    const { result } = await fixture.run(policy(), { command: 'exit 1' });
    expect(result).toMatchObject({ cause: 'rejected', errorMessage: `policy 'x' rejected the task with exit code 1` });
  });

  it('does not take for a verdict what is none', async () => {
    const missing = await fixture.run(policy(), { script: 'no-such-program' });
    expect(missing.result).toMatchObject({ cause: 'step_failed', exitCode: 127 });
    const slow = await fixture.run(policy(), { script: 'sleep 60' }, { timeoutSeconds: 0.3 });
    expect(slow.result).toMatchObject({ cause: 'timeout' });
    const killed = await fixture.run(policy(), { script: 'kill -SEGV $$' });
    expect(killed.result).toMatchObject({ cause: 'step_failed' });
    const outputs = await fixture.run(policy(), { script: 'echo nonsense >"$STEP_OUTPUT"' });
    expect(outputs.result).toMatchObject({ cause: 'step_failed', exitCode: 0 });
  });
});
