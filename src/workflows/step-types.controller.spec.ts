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
  expect(await new StepTypesController(registry as unknown as StepRegistry).list()).toEqual([
    { type: 'bash', description: 'Runs bash.', usable: true, missing: [], schema: { type: 'object' } },
    {
      type: 'terraform',
      description: 'Runs terraform.',
      usable: false,
      missing: ['terraform'],
      schema: { type: 'object' },
    },
  ]);
});
