import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { loadSettings, startService, StepType, WorkflowsModule } from '../../dist/service.js';

/** A service with a bad step type of its own: the first attempt does not give the event loop back for so long. */
class BusyStep {
  description = 'Computes for so many seconds, and lets nothing else happen.';

  schema = {
    type: 'object',
    additionalProperties: false,
    required: ['seconds'],
    properties: { seconds: { type: 'number', description: 'How long.', examples: [1] } },
  };

  async run({ config }, { attempt }) {
    const end = performance.now() + config.seconds * 1_000;
    while (attempt === 1 && performance.now() < end);
    return { status: 'completed', outputs: {} };
  }
}
Injectable()(BusyStep);
StepType('busy')(BusyStep);

class BusyModule {}
Module({ imports: [WorkflowsModule], providers: [BusyStep] })(BusyModule);

const service = await startService(loadSettings(process.env), { modules: [BusyModule] });
process.on('SIGTERM', () => void service.stop().then(() => process.exit(0)));
