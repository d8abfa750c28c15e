import { DiscoveryService } from '@nestjs/core';

/** Marks a provider as the runner of the step type that is its argument. */
export const StepType = DiscoveryService.createDecorator<string>();
