import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Injectable, type Type } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import type { StepOptions } from './step-options.js';
import { StepRegistry } from './step-registry.js';
import type { StepConfig, StepProblem, StepResult, StepRunner, StepSchema } from './step-runner.js';
import { StepType } from './step-type.decorator.js';

class Runner implements StepRunner {
  readonly description = 'Does nothing.';
  readonly schema: StepSchema = {
    type: 'object',
    additionalProperties: false,
    required: ['color'],
    properties: {
      color: { type: 'string', enum: ['red', 'blue'], examples: ['red'] },
      count: { type: 'integer', minimum: 1 },
      fast: { type: 'boolean' },
      folder: { type: 'string', format: 'path' },
      note: { type: 'string', maxLength: 5 },
      list: { type: 'array', items: { type: 'number' } },
      labels: { type: 'object', propertyNames: { format: 'identifier' }, additionalProperties: { type: 'string' } },
      wait: { type: ['number', 'string'], exclusiveMinimum: 0, format: 'duration' },
    },
  };

  async run(): Promise<StepResult> {
    return { status: 'completed', outputs: {} };
  }
}

@StepType('bash')
@Injectable()
class BashRunner extends Runner {
  programs(config: StepConfig): string[] {
    return ['bash', 'turnpike-test-tool', ...(config.fast ? ['sh'] : [])];
  }
}

@StepType('wait')
@Injectable()
class WaitRunner extends Runner {
  check({ color, count }: StepConfig): StepProblem[] {
    return color === 'blue' && count === 13 ? [{ path: ['count'], message: "13 and 'blue' do not go together" }] : [];
  }
}

@StepType('bash')
@Injectable()
class OtherBashRunner extends Runner {}

@StepType('broken')
@Injectable()
class BrokenRunner extends Runner {
  override readonly schema = { type: 'object', properties: { a: { type: 'txet' } } };
}

async function registryOf(...providers: Type[]): Promise<StepRegistry> {
  const module = await Test.createTestingModule({
    imports: [DiscoveryModule],
    providers: [StepRegistry, ...providers],
  }).compile();
  await module.init();
  return module.get(StepRegistry);
}

describe('StepRegistry', () => {
  it('finds every provider that carries a step type', async () => {
    const registry = await registryOf(WaitRunner, BashRunner, Runner);
    expect(registry.types).toEqual(['bash', 'wait']);
    expect(registry.get('bash')).toBeInstanceOf(BashRunner);
    expect(registry.get('ansible')).toBeUndefined();
    expect(() => registry.validateConfig('ansible', {})).toThrow("no runner for step type 'ansible'");
  });

  it('refuses two runners of one type, with both names and the fix', async () => {
    await expect(registryOf(BashRunner, OtherBashRunner)).rejects.toThrow(
      "two runners for step type 'bash': BashRunner and OtherBashRunner. Give one another @StepType, or remove it.",
    );
  });

  it('refuses a schema that is none, with the class to correct', async () => {
    await expect(registryOf(BrokenRunner)).rejects.toThrow(
      /^the schema of step type 'broken' is wrong: .*Correct 'schema' in BrokenRunner\.$/,
    );
  });

  describe('validateConfig', () => {
    it.each<[StepConfig, string]>([
      [{}, `color: 'color' is missing | Add "color: red".`],
      [{ colour: 'red' }, `colour: unknown key 'colour' | Did you mean 'color'?`],
      [{ color: 'red', x: 1 }, `x: unknown key 'x' | Known here: color, count,`],
      [{ color: 'bleu' }, `color: 'color' must be one of red, blue, but is the text 'bleu' | Did you mean 'blue'?`],
      [{ color: 7 }, `color: 'color' must be a text, but is the number 7 | Put it in quotes: "7"`],
      [
        { color: 'red', count: '3' },
        `count: 'count' must be a whole number, but is the text '3' | Remove the quotes: 3`,
      ],
      [{ color: 'red', count: 0 }, `count: 'count' is not valid: the number 0 | It must be >= 1.`],
      [
        { color: 'red', fast: 'yes' },
        `fast: 'fast' must be true or false, but is the text 'yes' | Write true or false`,
      ],
      [{ color: 'red', folder: '../x' }, `folder: 'folder' is not valid: the text '../x' | It must be a path below`],
      [{ color: 'red', note: 'longer' }, `note: 'note' has more than 5 characters | At most 5 are allowed.`],
      [{ color: 'red', list: [1, 'a'] }, `list.1: '1' must be a number, but is the text 'a' | undefined`],
      [{ color: 'red', labels: { '1a': '' } }, `labels.1a: '1a' is not a valid name here | Allowed: letters, digits`],
      [{ color: 'red', wait: 'soon' }, `wait: 'wait' is not valid: the text 'soon' | It must be a time above zero`],
      [{ color: 'blue', count: 13 }, `count: 13 and 'blue' do not go together | undefined`],
    ])('of %j', async (config, expected) => {
      const registry = await registryOf(WaitRunner);
      const problems = registry.validateConfig('wait', config);
      const lines = problems.map(({ path, message, hint }) => `${path.join('.')}: ${message} | ${hint}`);
      expect(lines).toEqual([expect.stringContaining(expected)]);
    });

    it('takes a text with a reference for any text, number, boolean or choice, but not for a list or a key', async () => {
      const registry = await registryOf(WaitRunner);
      const open = '${parameters.x}';
      const good = { color: open, count: open, fast: open, folder: `a/${open}`, note: open, list: [open], wait: open };
      expect(registry.validateConfig('wait', good)).toEqual([]);
      const bad = { color: '${x}', list: open, labels: { [open]: 'a' } };
      expect(registry.validateConfig('wait', bad).map(({ path }) => path.join('.'))).toEqual([
        'color',
        'list',
        `labels.${open}`,
      ]);
    });
  });

  describe('validateResolved', () => {
    it('makes numbers and booleans of texts where the schema wants them', async () => {
      const registry = await registryOf(WaitRunner);
      const config = { color: 'red', count: '3', fast: 'true', note: '12', list: ['1.5'], wait: '30' };
      expect(registry.validateResolved('wait', config)).toEqual({
        config: { color: 'red', count: 3, fast: true, note: '12', list: [1.5], wait: '30' },
        problems: [],
      });
      expect(config.count).toBe('3');
    });

    it('is strict about the rest', async () => {
      const registry = await registryOf(WaitRunner);
      const { problems } = registry.validateResolved('wait', { color: '${a.b}', count: 'x', fast: 'yes', folder: '/' });
      expect(problems.map(({ path }) => path.join('.')).sort()).toEqual(['color', 'count', 'fast', 'folder']);
      const crossed = registry.validateResolved('wait', { color: 'blue', count: '13' });
      expect(crossed.problems).toMatchObject([{ path: ['count'] }]);
    });
  });

  it('names the programs that are not on the PATH', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'programs-'));
    try {
      const registry = await registryOf(BashRunner, WaitRunner);
      const missing = (path: string, config = {}) => registry.missingPrograms('bash', config, path);
      for (const name of ['bash', 'sh', 'turnpike-test-tool']) writeFileSync(join(folder, name), '');
      expect(await missing(folder, { fast: true })).toEqual(['bash', 'turnpike-test-tool', 'sh']);
      const other = join(folder, 'other');
      mkdirSync(join(other, 'sh'), { recursive: true });
      chmodSync(join(folder, 'bash'), 0o755);
      expect(await missing(`${other}:${folder}:relative`, { fast: true })).toEqual(['turnpike-test-tool', 'sh']);
      expect(await registry.missingPrograms('wait', {}, '')).toEqual([]);

      // In a sandbox it counts what that shows.
      chmodSync(join(folder, 'sh'), 0o755);
      const view = { shows: (file: string) => file !== join(folder, 'sh') };
      const sandbox = { mode: 'bubblewrap', bubblewrap: { view } };
      const inside = new StepRegistry(registry['discovery'], {
        killGraceSeconds: 1,
        sandbox,
      } as unknown as StepOptions);
      inside.onModuleInit();
      expect(await inside.missingPrograms('bash', { fast: true }, folder)).toEqual(['turnpike-test-tool', 'sh']);
      expect([registry.whereToLook, inside.whereToLook]).toEqual(['', expect.stringContaining('STEP_SANDBOX_BIND')]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
