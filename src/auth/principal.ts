import { applyDecorators, createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import type { ErrorCode } from '../common/problem/error-codes.js';
import type { Permission, Role } from './roles.js';

/** Who makes a request. */
export interface Principal {
  /** As it stands in the ledger. */
  readonly name: string;
  readonly roles: readonly Role[];
  /** Patterns of the applications it sees and touches; undefined: all. */
  readonly scopes?: readonly string[];
}

export type AuthenticatedRequest = FastifyRequest & { principal?: Principal };

export const PUBLIC = 'turnpike:public';
export const REQUIREMENT = 'turnpike:requirement';

/** What a route asks of its caller. */
export interface Requirement {
  readonly permission: Permission;
  /** Enough for a task that the caller submitted. */
  readonly own?: Permission;
}

/** Marks a route that needs no key. */
export const Public = () => SetMetadata(PUBLIC, true);

export interface RequirementOptions {
  /** Enough for a task that the caller submitted. */
  readonly own?: Permission;
  /** For what else the route refuses callers, for its description. */
  readonly refusals?: readonly ErrorCode[];
}

/** What a route asks of its caller. One that says nothing is the admin's. */
export const Requires = (permission: Permission, { own, refusals = [] }: RequirementOptions = {}): MethodDecorator =>
  applyDecorators(
    SetMetadata(REQUIREMENT, { permission, ...(own === undefined ? {} : { own }) } satisfies Requirement),
    ApiExtension('x-permission', own === undefined ? permission : `${permission} or ${own}`),
    ApiProblems('role_required', ...refusals),
  );

/** The caller, in a controller's parameters. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): Principal => {
  const { principal } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (!principal) throw new Error('@Caller() stands on a route that the guard does not see');
  return principal;
});

/** The applications that the caller sees: patterns, or undefined for all; also where there is no guard. */
export const Scopes = createParamDecorator(
  (_: unknown, context: ExecutionContext): readonly string[] | undefined =>
    context.switchToHttp().getRequest<AuthenticatedRequest>().principal?.scopes,
);
