import { Module } from '@nestjs/common';
import { WorkflowsModule } from 'turnpike/service';
import { SlackStep } from './slack.step.js';

/** The service finds the step type by its decorator; what it asks for comes from WorkflowsModule. */
@Module({ imports: [WorkflowsModule], providers: [SlackStep] })
export class SlackModule {}
