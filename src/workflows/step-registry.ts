import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { StepRules } from './reading/read-workflow.js';
import type { StepRunner } from './step-runner.js';
import { StepType } from './step-type.decorator.js';

/** All step types of the application: every provider that carries `@StepType('…')`. */
@Injectable()
export class StepRegistry implements OnModuleInit {
  private readonly runners = new Map<string, StepRunner>();

  constructor(private readonly discovery: DiscoveryService) {}

  onModuleInit(): void {
    for (const provider of this.discovery.getProviders({ metadataKey: StepType.KEY })) {
      const type = this.discovery.getMetadataByDecorator(StepType, provider);
      const runner = provider.instance as StepRunner | undefined;
      if (type === undefined || !runner) continue;
      const other = this.runners.get(type);
      if (other && other !== runner) {
        const names = `${other.constructor.name} and ${runner.constructor.name}`;
        throw new Error(`two runners for step type '${type}': ${names}. Give one another @StepType, or remove it.`);
      }
      this.runners.set(type, runner);
    }
  }

  get types(): string[] {
    return [...this.runners.keys()].sort();
  }

  /** How the steps of a document are checked. */
  rules(maxSteps: number): StepRules {
    return {
      stepTypes: this.types,
      validateConfig: (type, config) => this.runners.get(type)!.validate(config),
      scriptsOf: (type) => this.runners.get(type)?.scripts ?? [],
      maxSteps,
    };
  }

  /** The runner of a type that the registry lists. */
  get(type: string): StepRunner | undefined {
    return this.runners.get(type);
  }
}
