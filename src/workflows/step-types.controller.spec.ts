import { StepTypesController } from './step-types.controller.js';
import type { StepRegistry } from './step-registry.js';

it('lists the step types, and what each lacks on this machine', async () => {
  const registry = {
    types: ['bash', 'terraform'],
    get: (type: string) => ({ description: `Runs ${type}.`, schema: { type: 'object' } }),
    missingPrograms: async (type: string, _config: object, path: string) => {
      expect(path).toBe(process.env.PATH);
      return type === 'bash' ? [] : ['terraform'];
    },
  };
  const sandbox = { mode: 'off', reason: 'STEP_SANDBOX is off' } as const;
  const options = { killGraceSeconds: 1, sandbox: { ...sandbox, network: 'host' } as const };
  expect(await new StepTypesController(registry as unknown as StepRegistry, options).list()).toEqual([
    { type: 'bash', description: 'Runs bash.', usable: true, missing: [], sandbox, schema: { type: 'object' } },
    {
      type: 'terraform',
      description: 'Runs terraform.',
      usable: false,
      missing: ['terraform'],
      sandbox,
      schema: { type: 'object' },
    },
  ]);
});
