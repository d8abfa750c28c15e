import { Injectable, type Type } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { StepRegistry } from './step-registry.js';
import type { StepResult, StepRunner } from './step-runner.js';
import { StepType } from './step-type.decorator.js';

class Runner implements StepRunner {
  validate() {
    return [];
  }

  async run(): Promise<StepResult> {
    return { status: 'completed', outputs: {} };
  }
}

@StepType('bash')
@Injectable()
class BashRunner extends Runner {}

@StepType('wait')
@Injectable()
class WaitRunner extends Runner {}

@StepType('bash')
@Injectable()
class OtherBashRunner extends Runner {}

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
  });

  it('refuses two runners of one type, with both names and the fix', async () => {
    await expect(registryOf(BashRunner, OtherBashRunner)).rejects.toThrow(
      "two runners for step type 'bash': BashRunner and OtherBashRunner. Give one another @StepType, or remove it.",
    );
  });
});
