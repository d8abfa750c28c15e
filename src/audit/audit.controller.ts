import { Controller, Get, Query, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Requires, Scopes } from '../auth/principal.js';
import { ApiProblems } from '../common/http/api-problems.decorator.js';
import { QueryPipe } from '../common/http/query.pipe.js';
import { Problem } from '../common/problem/problem.js';
import { LedgerVerifier } from '../queue/ledger/verifier.js';
import { AuditStore } from '../queue/store/audit-store.js';
import {
  AUDIT_PARAMETERS,
  AuditQuery,
  decodeAuditCursor,
  encodeAuditCursor,
  LEDGER_KINDS,
  readKeptHead,
  VERIFY_PARAMETERS,
  VerifyQuery,
} from './audit-query.js';
import { AuditHead, AuditPage, AuditVerification } from './audit.dto.js';

/** The whole ledger: who did what, when and why, and the proof that nothing was changed since. */
@ApiTags('audit')
@ApiBearerAuth()
@ApiProblems('unauthorized', 'database_unavailable')
@Controller('api/audit')
export class AuditController {
  constructor(
    private readonly ledger: AuditStore,
    private readonly verifier: LedgerVerifier,
  ) {}

  /** What was done, newest first, page by page. */
  @Get()
  @Requires('audit:read')
  @ApiProblems('invalid_parameter')
  @ApiQuery({ name: 'actor', required: false, type: String, description: 'Who did it: a key, a worker, a role.' })
  @ApiQuery({ name: 'since', required: false, type: String, description: 'At this time or later.' })
  @ApiQuery({ name: 'until', required: false, type: String, description: 'Before this time.' })
  @ApiQuery({ name: 'kind', required: false, enum: LEDGER_KINDS })
  @ApiQuery({ name: 'task_id', required: false, type: String })
  @ApiQuery({ name: 'app_name', required: false, type: String })
  @ApiQuery({ name: 'cause', required: false, type: String })
  @ApiQuery({ name: 'limit', required: false, type: Number })
  @ApiQuery({ name: 'cursor', required: false, type: String, description: 'next_cursor of the page before.' })
  async list(
    @Query(new QueryPipe(AuditQuery, AUDIT_PARAMETERS)) query: AuditQuery,
    @Scopes() apps: readonly string[] | undefined,
  ): Promise<AuditPage> {
    const { actor, kind, task_id: taskId, app_name: appName, cause, since, until, limit, cursor } = query;
    const filter = { actor, kind, taskId, appName, apps, cause, since, until };
    const before = cursor === undefined ? undefined : decodeAuditCursor(cursor);
    const { entries, next } = await this.ledger.list({ filter, before, limit });
    return { events: [...entries], next_cursor: next ? encodeAuditCursor(next) : null };
  }

  /** The newest seal: keep block and hash elsewhere, and nobody can make the chain anew unnoticed. */
  @Get('head')
  @Requires('audit:verify')
  @ApiProblems('ledger_not_sealed')
  async head(): Promise<AuditHead> {
    const head = await this.verifier.head();
    if (!head) throw new Problem('ledger_not_sealed', 'no event of the ledger has been sealed yet');
    return head;
  }

  /** Checks the chain of seals against the ledger, and names the first block that is broken. */
  @Get('verify')
  @Requires('audit:verify')
  @ApiProblems('invalid_parameter')
  @ApiQuery({
    name: 'from_block',
    required: false,
    type: Number,
    description: 'The block to begin at; 1 unless given.',
  })
  @ApiQuery({
    name: 'head',
    required: false,
    type: String,
    description: 'A head that was kept elsewhere, as <block>:<hash>: the chain must have it.',
  })
  async verify(
    @Query(new QueryPipe(VerifyQuery, VERIFY_PARAMETERS)) { from_block: fromBlock, head }: VerifyQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AuditVerification> {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    try {
      return await this.verifier.verify({ fromBlock, kept: readKeptHead(head), signal: gone.signal });
    } catch (error) {
      // Nobody is left to get this answer; it is not to look like a failure of the service either.
      throw gone.signal.aborted ? new Problem('bad_request', 'the caller has gone') : error;
    }
  }
}
