import { previewOf } from './preview.js';
import type { StepRegistry } from './step-registry.js';
import type { StepDefinition, WorkflowSpec } from './workflow.js';

const step = (name: string, changes: Partial<StepDefinition> = {}): StepDefinition => ({
  ...{ name, type: 'bash', env: {}, config: {} },
  ...changes,
});
const registry = {
  whereToLook: '',
  missingPrograms: async (type: string) => (type === 'terraform' ? ['terraform'] : []),
} as unknown as StepRegistry;

const preview = (...steps: StepDefinition[]) => {
  const spec: WorkflowSpec = {
    workflow: { steps, variables: { REGION: 'eu', MODE: 'fast' } },
    score: { metadata: { name: 'shop' }, resources: { db: { type: 'postgres' } } },
    environment: { type: 'staging' },
    parameters: { size: '3' },
  };
  return previewOf(spec, registry);
};

describe('a preview', () => {
  it('has the order of the steps', async () => {
    const { steps } = await preview(
      step('a'),
      step('b', { parallelGroup: '' }),
      step('c', { parallelGroup: '' }),
      step('d'),
    );
    expect(steps.map(({ name, dependsOn }) => [name, dependsOn])).toEqual([
      ['a', []],
      ['b', ['a']],
      ['c', ['a']],
      ['d', ['b', 'c']],
    ]);
  });

  it.each<[Partial<StepDefinition>, boolean, string | undefined]>([
    [{}, false, undefined],
    [
      { if: 'environment.type == production' },
      true,
      "if: environment.type == production is false (environment.type is 'staging')",
    ],
    [{ if: 'environment.type == staging' }, false, undefined],
    [
      { unless: 'resources.db != null' },
      true,
      expect.stringMatching(/^unless: resources.db != null is true/) as string,
    ],
    [{ if: '$REGION == us' }, true, "if: $REGION == us is false ($REGION is 'eu')"],
    [{ if: '$SIZE > 5', env: { SIZE: '${parameters.size}' } }, true, "if: $SIZE > 5 is false ($SIZE is '3')"],
    [{ if: '$V == 1', env: { V: '${first.v}' } }, false, 'decided when its turn comes: if: $V == 1'],
    [{ if: '$MODE == slow' }, false, 'decided when its turn comes: if: $MODE == slow'],
    [{ if: 'workflow.MODE == slow' }, false, 'decided when its turn comes: if: workflow.MODE == slow'],
    [{ unless: 'first.failed' }, false, 'decided when its turn comes: unless: first.failed'],
    [{ when: 'on_failure' }, true, 'runs only when a step before it fails'],
    [{ when: 'manual' }, false, 'waits until somebody approves'],
    [{ type: 'approval' }, false, 'waits until somebody approves'],
  ])('knows of %j whether it is skipped, and why', async (changes, skipped, why) => {
    const { steps, problems } = await preview(step('first', { setVariables: { MODE: 'x' } }), step('second', changes));
    expect([steps[1]!.skipped, steps[1]!.why]).toEqual([skipped, why]);
    expect(problems).toEqual([]);
  });

  it('names what would keep it from running here', async () => {
    const steps = [step('infra', { type: 'terraform' }), step('never', { type: 'terraform', if: 'false' })];
    const { problems } = await preview(...steps, step('odd', { if: 'metadata.owner == me' }));
    expect(problems).toEqual([
      "step 'infra' needs terraform, which is not on this instance",
      expect.stringContaining("step 'odd': its condition has no answer"),
    ]);
  });
});
