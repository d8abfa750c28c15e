import type { Type } from '@nestjs/common';
import type { StepRunner } from '../step-runner.js';
import { AnsibleStep } from './ansible.step.js';
import { ApprovalStep } from './approval.step.js';
import { BashStep } from './bash.step.js';
import { GitStep } from './git.step.js';
import { HttpStep } from './http.step.js';
import { KubernetesStep } from './kubernetes.step.js';
import { NoopStep } from './noop.step.js';
import { PolicyStep } from './policy.step.js';
import { TerraformStep } from './terraform.step.js';
import { WaitStep } from './wait.step.js';

/** The step types that come with the service. */
export const STEP_TYPES: readonly Type<StepRunner>[] = [
  AnsibleStep,
  ApprovalStep,
  BashStep,
  GitStep,
  HttpStep,
  KubernetesStep,
  NoopStep,
  PolicyStep,
  TerraformStep,
  WaitStep,
];
